/* Asks the paywall about this article, shows what is left of the free articles or the wall, and fetches the text
   after a grant. No dependency, no inline style, no third-party cookie. The paid text is never in this script's
   hands before the website's own server has checked the grant. A page that comes back from the browser's back/forward
   cache is asked about again; until the answer is there, no text of before is to be seen. Whoever returns from signing
   in or paying is where they were in the article.

   <script src="https://paywall.example.vn/paywall.js" defer data-agency="bao-hung-yen" data-article="mua-nhan"
           data-content="/content/mua-nhan" data-billing="https://doc.example.vn"></script>
   <div data-paywall-content>…the free opening…</div>                                                       */
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script || !script.dataset.agency || !script.dataset.article) return;
  const { agency, article, content, billing } = script.dataset;
  const paywall = new URL(script.src).origin;
  const english = (document.documentElement.lang || "vi").toLowerCase().startsWith("en");
  const words = english
    ? {
        left: (n) => (n === 0 ? "0 free articles left: this was the last one this month" : n === 1 ? "1 free article left this month" : `${n} free articles left this month`),
        METER_EXHAUSTED: "You have read all your free articles this month",
        SUBSCRIPTION_REQUIRED: "This article is for subscribers",
        REGISTRATION_REQUIRED: "Sign in to read this article",
        NETWORK_EXHAUSTED: "Sign in to go on reading",
        FALLBACK: "This article cannot be opened right now",
        text: "Subscribe to read everything, or sign in if you have a plan already.",
        known: "You are signed in, but no plan of yours is running. Every plan opens all articles, this one too.",
        bundle: "You have paid for articles that you choose one by one: open this one with them, or see the plans.",
        register: "Sign in with your e-mail to read more articles for nothing every month.",
        again: (day) => `Your free articles start again on ${day}.`,
        later: "Please try again in a moment.",
        offers: { subscribe: "See the plans", register: "Sign in and read on", sign_in: "I have a plan already: sign in" },
        use: (n, left) => `Use 1 of your ${n} articles (${left} left)`,
        retry: "Try again",
        failed: "The text could not be loaded.",
        label: "Paywall",
      }
    : {
        left: (n) => (n === 0 ? "Bạn còn 0 bài đọc miễn phí: đây là bài cuối cùng trong tháng này" : `Bạn còn ${n} bài đọc miễn phí trong tháng này`),
        METER_EXHAUSTED: "Bạn đã đọc hết số bài miễn phí trong tháng này",
        SUBSCRIPTION_REQUIRED: "Bài viết dành cho người đăng ký",
        REGISTRATION_REQUIRED: "Đăng nhập để đọc bài viết này",
        NETWORK_EXHAUSTED: "Đăng nhập để đọc tiếp",
        FALLBACK: "Hiện chưa mở được bài viết này",
        text: "Đăng ký gói đọc báo để đọc toàn bộ, hoặc đăng nhập nếu bạn đã có gói.",
        known: "Bạn đã đăng nhập nhưng chưa có gói đọc báo nào còn hiệu lực. Gói nào cũng mở toàn bộ bài viết, gồm cả bài này.",
        bundle: "Bạn đã mua gói bài lẻ: dùng một bài để mở bài này, hoặc xem các gói đọc báo.",
        register: "Đăng nhập bằng email để đọc miễn phí thêm nhiều bài mỗi tháng.",
        again: (day) => `Số bài đọc miễn phí được tính lại từ ngày ${day}.`,
        later: "Bạn hãy thử lại sau giây lát.",
        offers: { subscribe: "Xem các gói đọc báo", register: "Đăng nhập để đọc tiếp", sign_in: "Tôi đã có gói: đăng nhập" },
        use: (n, left) => `Dùng 1 trong ${n} bài (còn ${left})`,
        retry: "Thử lại",
        failed: "Chưa tải được nội dung bài viết.",
        label: "Tường phí",
      };

  const element = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text) node.textContent = text;
    return node;
  };
  const target = () => document.querySelector("[data-paywall-content]");
  let opening = null; // what everybody may read, as the website sent it
  let bundle = null; // what the reader has paid for and not chosen yet
  let turn = 0; // only the newest question may change the page
  const announce = (name, detail) => document.dispatchEvent(new CustomEvent(`paywall:${name}`, { detail }));

  const within = async (milliseconds, url, options) => {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), milliseconds);
    try {
      return await fetch(url, { ...options, signal: controller.signal });
    } finally {
      clearTimeout(timer);
    }
  };

  // Billing away, signed out, cookies refused: the reader is anonymous, and reading goes on.
  const readerToken = async () => {
    bundle = null;
    if (!billing) return null;
    try {
      const answer = await within(2500, `${billing}/v1/agencies/${encodeURIComponent(agency)}/session`, { credentials: "include" });
      if (!answer.ok) return null;
      const session = await answer.json();
      bundle = session.bundle || null;
      announce("session", { signed_in: session.signed_in });
      return session.token || null;
    } catch {
      return null;
    }
  };

  const ask = (token) =>
    within(8000, `${paywall}/v1/decisions`, {
      method: "POST",
      credentials: "include",
      headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) },
      body: JSON.stringify({ agency, article_id: article }),
    });

  const decision = async () => {
    let token = await readerToken();
    for (let turn = 0; ; turn++) {
      const answer = await ask(token);
      if (answer.ok) return answer.json();
      if (answer.status === 401 && token && turn < 2) {
        // The token ran out on the way, or keys have just been changed: a fresh one, at last without.
        token = turn === 0 ? await readerToken() : null;
        continue;
      }
      if (answer.status === 503 && turn < 2) {
        const wait = Math.min(Number(answer.headers.get("Retry-After")) || 1, 3);
        await new Promise((resolve) => setTimeout(resolve, wait * 1000 * (0.5 + Math.random())));
        continue;
      }
      throw new Error(`paywall ${answer.status}`);
    }
  };

  const text = async (grant) => {
    const answer = await within(10000, content, { headers: { Authorization: `Bearer ${grant}` }, credentials: "omit" });
    if (!answer.ok) throw new Error(`content ${answer.status}`);
    return answer.text();
  };

  // An empty live region first, its words afterwards: otherwise screen readers say nothing.
  const say = (sentence) => {
    let node = document.querySelector(".pr-meter");
    if (!node) {
      node = element("p", "pr-meter");
      node.setAttribute("role", "status");
      node.setAttribute("aria-live", "polite");
      target().before(node);
    }
    setTimeout(() => (node.textContent = sentence), 50);
  };

  // After the opening, where the text would go on. The focus stays where the reader has it.
  const place = (section) => {
    settle();
    if (opening !== null) target().innerHTML = opening;
    target().classList.add("pr-closed");
    target().after(section);
    back();
  };

  // Whatever stood there of an earlier answer, or instead of one, goes.
  const settle = () => {
    document.querySelectorAll(".pr-wall").forEach((old) => old.remove());
    document.querySelectorAll("[data-paywall-status]").forEach((words) => (words.hidden = true));
    target().classList.remove("pr-checking");
  };

  // Where the reader was in this article when they left for signing in or paying. Without storage: the top.
  const spot = `pr-place:${location.pathname}`;
  let returning = Boolean(billing) && document.referrer.startsWith(`${new URL(billing, location.href).origin}/`);
  const back = () => {
    if (!returning) return;
    returning = false;
    try {
      const top = Number(sessionStorage.getItem(spot));
      if (top > 0 && scrollY < 50) scrollTo({ top, behavior: "instant" });
    } catch {
      // storage is refused
    }
  };

  const link = (offer, index) => {
    const node = element("a", index === 0 ? "pr-button" : "pr-link", words.offers[offer.kind] || offer.kind);
    const url = new URL(offer.url);
    url.searchParams.set("return_to", location.href.split("#")[0]);
    if (offer.kind === "subscribe") url.searchParams.set("article", article); // it may be bought alone
    node.href = url.href;
    node.dataset.offer = offer.kind;
    return node;
  };

  // One press: one article of the bundle, here. Opened in another tab meanwhile, it costs nothing more. (No header of ours: then
  // the browser need not ask billing first.)
  const spend = ({ use_url, uses, left }) => {
    const button = element("button", "pr-button", words.use(uses, left));
    button.type = "button";
    button.dataset.offer = "bundle";
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const body = JSON.stringify({ agency, article_id: article });
        const answer = await within(10000, use_url, { method: "POST", credentials: "include", body });
        if (answer.ok || answer.status === 401 || answer.status === 409) return void run();
      } catch {
        // it may have been used all the same: pressed again it costs nothing more
      }
      button.disabled = false;
      explain(words.later);
    });
    return button;
  };
  const explain = (sentence) => (document.querySelector(".pr-wall-text").textContent = sentence);

  const wall = (answer) => {
    const section = element("section", "pr-wall");
    const heading = element("h2", "pr-wall-title", words[answer.reason] || words.SUBSCRIPTION_REQUIRED);
    heading.id = "pr-wall-title";
    section.setAttribute("aria-labelledby", heading.id);
    // Who is signed in is offered plans only.
    const known = (answer.offers || []).every((offer) => offer.kind === "subscribe");
    const explained = answer.degraded ? words.later : answer.action === "register" ? words.register : known ? (bundle ? words.bundle : words.known) : words.text;
    const actions = element("p", "pr-wall-actions");
    const own = bundle && bundle.left > 0 && !answer.degraded ? [spend(bundle)] : [];
    actions.append(...own, ...(answer.offers || []).map((offer, index) => link(offer, index + own.length)));
    section.append(heading, element("p", "pr-wall-text", explained), actions);
    if (answer.reason === "METER_EXHAUSTED" && answer.meter) {
      const form = { day: "2-digit", month: "2-digit", year: "numeric", timeZone: script.dataset.zone || "Asia/Ho_Chi_Minh" };
      const day = new Date(answer.meter.resets_at).toLocaleDateString(english ? "en-GB" : "vi-VN", form);
      section.append(element("p", "pr-wall-small", words.again(day)));
    }
    place(section);
    announce("wall", answer);
  };

  const trouble = () => {
    const section = element("section", "pr-wall");
    section.setAttribute("aria-label", words.label);
    const button = element("button", "pr-button", words.retry);
    button.type = "button";
    button.addEventListener("click", () => {
      section.remove();
      run();
    });
    section.append(element("p", "pr-wall-text", words.failed), button);
    place(section);
  };

  const open = (html) => {
    settle();
    target().classList.remove("pr-closed");
    target().innerHTML = html; // from the website's own server, which is where this page comes from
    back();
    announce("open", { article });
  };

  const run = async () => {
    if (!target()) return;
    opening ??= target().innerHTML;
    const mine = ++turn;
    try {
      const answer = await decision();
      const html = answer.granted && content && answer.grant ? await text(answer.grant) : null;
      if (mine !== turn) return;
      announce("decision", { granted: answer.granted, reason: answer.reason, meter: answer.meter, variant: answer.variant });
      if (!answer.granted) return wall(answer);
      if (html !== null) open(html);
      else settle();
      if (answer.reason === "METERING" && answer.meter) say(words.left(answer.meter.left));
    } catch (error) {
      if (mine !== turn) return;
      trouble();
      announce("failed", String(error));
    }
  };

  const style = element("link");
  style.rel = "stylesheet";
  style.href = `${paywall}/paywall.css`;
  document.head.append(style);

  const start = () => (document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", run, { once: true }) : run());
  // A page that is only prepared in advance has not been read.
  if (document.prerendering) document.addEventListener("prerenderingchange", start, { once: true });
  else start();

  // Left, perhaps for the back/forward cache: what is shown again later is covered now, before the page is frozen.
  addEventListener("pagehide", () => {
    if (!target()) return;
    try {
      sessionStorage.setItem(spot, String(Math.round(scrollY)));
    } catch {
      // storage is refused
    }
    target().classList.add("pr-checking");
    document.querySelectorAll("[data-paywall-status]").forEach((words) => (words.hidden = false));
    document.querySelectorAll(".pr-wall, .pr-meter").forEach((old) => old.remove());
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) run();
  });
})();
