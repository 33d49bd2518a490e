/* Ads for an agency's website. No cookies, no dependencies.
   <link rel="stylesheet" href="{ADS_URL}/ads.css">
   <div data-ad-placement="home-top" data-ad-size="728x90"></div>
   <script src="{ADS_URL}/ads.js" data-agency="..." data-section="..." defer></script> */
(function () {
  "use strict";
  var script = document.currentScript || document.querySelector("script[src*='/ads.js'][data-agency]");
  if (!script || !script.dataset.agency) return;
  var base = new URL(script.src).origin;
  var waiting = [];
  var planned = false;

  function post(url, body, again) {
    return fetch(url, {
      method: "POST",
      body: JSON.stringify(body), // text/plain: no preflight
      credentials: "omit",
      keepalive: true
    }).then(function (answer) {
      if (answer.status === 503 && again) {
        return new Promise(function (resolve) { setTimeout(resolve, 1000); }).then(function () {
          return post(url, body, false);
        });
      }
      return answer;
    });
  }

  function element(tag, className, text) {
    var made = document.createElement(tag);
    made.className = className;
    if (text) made.textContent = text;
    return made;
  }

  function render(box, decision) {
    var creative = decision.creative;
    var link = element("a", "pr-ad pr-ad-is-" + creative.kind + " pr-ad-" + creative.theme);
    link.href = decision.click_url;
    link.target = "_blank";
    link.rel = "sponsored noopener";
    if (creative.kind === "image") {
      var image = element("img", "pr-ad-image");
      image.src = creative.image.url;
      image.width = creative.image.width;
      image.height = creative.image.height;
      image.alt = creative.headline;
      link.appendChild(image);
    } else {
      var words = element("span", "pr-ad-words");
      words.appendChild(element("strong", "pr-ad-headline", creative.headline));
      if (creative.body) words.appendChild(element("span", "pr-ad-body", creative.body));
      link.appendChild(words);
      if (creative.call_to_action) {
        link.appendChild(element("span", "pr-ad-action", creative.call_to_action));
      }
    }
    box.textContent = "";
    box.appendChild(element("span", "pr-ad-label", creative.label));
    box.appendChild(link);
    box.setAttribute("role", "complementary");
    box.setAttribute("aria-label", creative.label);
    box.dataset.adState = "shown";
    post(decision.impression_url, { token: decision.token }, true).then(
      function (answer) { box.dataset.adCounted = String(answer.status); },
      function () { box.dataset.adCounted = "failed"; }
    );
    watch(box, decision);
  }

  /* Viewable (MRC): half of it on screen for one second, once. */
  function watch(box, decision) {
    var timer = 0;
    var observer = new IntersectionObserver(function (entries) {
      var seen = entries[entries.length - 1].intersectionRatio >= 0.5 && !document.hidden;
      if (seen && !timer) {
        timer = setTimeout(function () {
          timer = 0;
          if (document.hidden) return;
          observer.disconnect();
          box.dataset.adState = "viewed";
          post(decision.impression_url, { token: decision.token, event: "viewable" }, true)
            .catch(function () { box.dataset.adState = "shown"; });
        }, 1000);
      } else if (!seen) {
        clearTimeout(timer);
        timer = 0;
      }
    }, { threshold: [0, 0.5] });
    observer.observe(box);
  }

  /* One request for everything that came near the screen in this turn. */
  function ask() {
    planned = false;
    var boxes = waiting.splice(0, 20);
    if (waiting.length) plan();
    post(base + "/v1/ad-decisions", {
      agency: script.dataset.agency,
      page: { url: location.href.split("#")[0].slice(0, 2000), section: script.dataset.section || "" },
      placements: boxes.map(function (box, index) {
        return { slot: String(index), placement: box.dataset.adPlacement };
      })
    }, false).then(function (answer) {
      return answer.ok ? answer.json() : { decisions: [] };
    }).catch(function () {
      return { decisions: [] };
    }).then(function (answer) {
      boxes.forEach(function (box, index) {
        var decision = answer.decisions[index];
        if (decision && decision.creative) render(box, decision);
        else box.dataset.adState = "empty"; // keeps its space: nothing on the page may jump
      });
    });
  }

  function plan() {
    if (!planned) {
      planned = true;
      setTimeout(ask, 0);
    }
  }

  function start() {
    if (!document.querySelector("link[href='" + base + "/ads.css']")) {
      var sheet = document.createElement("link");
      sheet.rel = "stylesheet";
      sheet.href = base + "/ads.css";
      document.head.appendChild(sheet);
    }
    var near = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) {
        if (!entry.isIntersecting) return;
        near.unobserve(entry.target);
        waiting.push(entry.target);
        plan();
      });
    }, { rootMargin: "200px 0px" });
    document.querySelectorAll("[data-ad-placement]").forEach(function (box) {
      if (box.dataset.adState) return;
      box.dataset.adState = "waiting";
      near.observe(box);
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
