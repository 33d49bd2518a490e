"""What readers bring in month by month: recurring revenue, who pays, who stays, who goes. All of it reads."""
