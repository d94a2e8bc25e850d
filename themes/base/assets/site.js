// What the script adds. Every page works without it; see README.md beside the themes for the attributes.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("scripted");

  // --- Messages ---------------------------------------------------------------------------------------------------
  const announce = (from) => {
    const bar = document.getElementById("messages");
    const fresh = from && from.getElementById("messages");
    if (bar && fresh && fresh.textContent.trim()) bar.replaceChildren(...fresh.childNodes);
  };
  const say = (text) => {
    const bar = document.getElementById("messages");
    if (!bar) return;
    const line = document.createElement("div");
    line.className = "message warn";
    line.append(text);
    bar.replaceChildren(line);
  };
  // One live region that is there from the start: what is swapped in with its own role is not read out everywhere.
  const reader = document.createElement("div");
  reader.className = "visually-hidden";
  reader.setAttribute("role", "status");
  document.body.append(reader);
  const readOut = (part) => {
    const told = part.matches("[data-announce]") ? part : part.querySelector("[data-announce]");
    if (told) reader.textContent = told.dataset.announce;
  };

  // --- Forms that swap a part of the page: form[data-inline="#target"] ---------------------------------------------
  const parse = (html) => new DOMParser().parseFromString(html, "text/html");
  const swap = (selector, page) => {
    const fresh = page.querySelector(selector);
    const old = document.querySelector(selector);
    if (!fresh || !old) return null;
    const adopted = document.adoptNode(fresh);
    old.replaceWith(adopted);
    start(adopted);
    return adopted;
  };
  const focusIn = (part, from) => {
    const first = part.querySelector("[autofocus],[aria-invalid=true]") || (from && from.id && document.getElementById(from.id));
    if (first) return first.focus();
    part.tabIndex = -1;
    part.focus({ preventScroll: true });
  };
  // While the answer is on its way, the form's part shows what its template[data-inline-wait] holds in place of [data-inline-result].
  const wait = (form) => {
    const part = document.querySelector(form.dataset.inline);
    const template = part && part.querySelector("template[data-inline-wait]");
    const result = part && part.querySelector("[data-inline-result]");
    if (!template || !result) return;
    result.replaceChildren(template.content.cloneNode(true));
    readOut(result);
  };
  // The answer is another page: sign in again, or an error that is said here, so that nothing on this page is lost.
  const elsewhere = (answer, page, get) => {
    if (answer.ok || answer.status === 401) return location.assign(answer.redirected || get ? answer.url : location.href);
    const words = all("main h1, main .oops-text", page).map((element) => element.textContent.trim());
    say(words.join(". ") || "That did not work. Load the page again.");
    document.getElementById("messages")?.scrollIntoView({ block: "center" });
  };
  const submit = async (form, button) => {
    const body = new URLSearchParams(new FormData(form, button));
    const get = form.method === "get";
    const address = get ? form.action.split("?")[0] + "?" + body : form.action;
    if (button) button.setAttribute("aria-busy", "true");
    wait(form);
    try {
      const answer = await fetch(address, { method: get ? "GET" : "POST", body: get ? undefined : body, headers: { Accept: "text/html" }, credentials: "same-origin" });
      const page = parse(await answer.text());
      const part = swap(form.dataset.inline, page);
      if (!part) return elsewhere(answer, page, get);
      announce(page);
      focusIn(part, button);
      readOut(part);
    } catch {
      say("The site cannot be reached. Check the connection and try again.");
    } finally {
      if (button) button.removeAttribute("aria-busy");
    }
  };
  // form[data-changed-only] sends one field "change" for each box that is not as it was, "<value> <now> <before>", and no other box.
  const differs = (box) => box.checked !== (box.dataset.seen ? box.dataset.seen === "1" : box.defaultChecked);
  const onlyChanges = (form) => {
    all("input[name=change]", form).forEach((field) => field.remove());
    all("input[type=checkbox],input[name=seen]", form).forEach((box) => {
      box.dataset.name = box.name || box.dataset.name;
      box.removeAttribute("name");
      if (box.type !== "checkbox" || !differs(box)) return;
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = "change";
      field.value = `${box.value} ${Number(box.checked)} ${Number(!box.checked)}`;
      form.append(field);
    });
  };
  const count = (form) => {
    const changed = all("input[type=checkbox]", form).filter(differs);
    all("[data-changes]", form).forEach((element) => {
      element.textContent = changed.length === 0 ? "" : changed.length === 1 ? "1 change is not saved yet." : `${changed.length} changes are not saved yet.`;
    });
    all("td", form).forEach((cell) => cell.classList.toggle("changed", changed.some((box) => cell.contains(box))));
  };
  document.addEventListener("change", (event) => { if (event.target.form?.matches("[data-changed-only]")) count(event.target.form); });
  addEventListener("pageshow", () => all("form[data-changed-only]").forEach((form) => {
    all("[data-name]", form).forEach((box) => { box.name = box.dataset.name; });
    count(form);
  }));
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.matches("[data-changed-only]")) onlyChanges(form);
    if (!form.dataset.inline || form.enctype === "multipart/form-data") return;
    if (new URL(form.action).origin !== location.origin) return;
    event.preventDefault();
    const button = event.submitter;
    if (button && button.getAttribute("aria-busy")) return;
    submit(form, button);
  });

  // --- Live values: [data-live="url"] --------------------------------------------------------------------------------
  const at = (data, path) => path.split(".").reduce((value, key) => (value === null || value === undefined ? value : value[key]), data);
  const text = (value) => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const fill = (element, value) => {
    if (element.dataset.liveTime !== undefined && value) {
      const time = document.createElement("time");
      element.replaceChildren(time);
      element = time;
    }
    if (element.tagName === "TIME" && value) {
      element.dateTime = value;
      element.title = new Date(value).toLocaleString();
      element.dataset.ago = "";
      value = ago(value);
    }
    element.textContent = text(value);
  };
  const mark = (root, state) => all("[data-live-state]", root).forEach((element) => {
    element.dataset.state = state;
    if (element.textContent !== state) element.textContent = state;
  });
  // A paused list keeps what arrives, and says how much that is, until it goes on.
  const pauseLabel = (root) => all("[data-live-pause-label]", root).forEach((element) => {
    element.textContent = !root.heldBack ? "Pause" : root.heldBack.length ? `Go on (${root.heldBack.length} new)` : "Go on";
  });
  const addItem = (root, template, data) => {
    const list = root.querySelector("[data-live-list]");
    if (!list) return;
    if (root.heldBack) {
      root.heldBack.push([template, data]);
      if (root.heldBack.length > (Number(list.dataset.liveMax) || 200)) root.heldBack.shift();
      return pauseLabel(root);
    }
    const item = template.content.cloneNode(true);
    all("[data-field]", item).forEach((element) => fill(element, at(data, element.dataset.field)));
    list.prepend(item);
    list.querySelector("[data-live-empty]")?.remove();
    const most = Number(list.dataset.liveMax) || 200;
    while (list.children.length > most) list.lastElementChild.remove();
    const box = document.querySelector(`input[data-filter="#${CSS.escape(list.id)}"]`);
    if (list.id && box) sift(box);
  };
  // Parts that are due at the same time come with one fetch. What the visitor has in hand stays: a field being typed in, an open
  // menu, the focus.
  const due = new Set();
  let fetching = 0;
  const busy = (part) => part.querySelector("details.menu[open]") || part.contains(document.activeElement) && document.activeElement.matches("input,select,textarea");
  const controls = (part) => all("a,button,summary", part);
  const renew = (selector, page) => {
    const old = document.querySelector(selector);
    const held = old.contains(document.activeElement) ? controls(old).indexOf(document.activeElement) : -1;
    const top = old.scrollTop;
    const part = swap(selector, page);
    if (!part) return;
    part.scrollTop = top;
    if (held >= 0) controls(part)[held]?.focus({ preventScroll: true });
  };
  const refresh = (element) => {
    if (!element.id) return;
    due.add("#" + CSS.escape(element.id));
    (element.dataset.liveAlso || "").split(" ").forEach((selector) => selector && due.add(selector));
    clearTimeout(fetching);
    fetching = setTimeout(async () => {
      const selectors = [...due].filter((selector) => { const part = document.querySelector(selector); return part && !busy(part); });
      due.clear();
      if (!selectors.length) return;
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
        if (!answer.ok) return;
        const page = parse(await answer.text());
        selectors.forEach((selector) => renew(selector, page));
        all("input[data-filter]").forEach(sift);
      } catch { /* the next event tries again */ }
    }, 300);
  };
  const received = (root, name) => (event) => {
    let data;
    try { data = JSON.parse(event.data); } catch { return; }
    all("[data-live-value]", root).forEach((element) => {
      const value = at(data, element.dataset.liveValue);
      if (value === undefined) return;
      fill(element, value);
      element.closest("[data-fresh-for]")?.classList.remove("stale");
    });
    all("template[data-live-item]", root).forEach((template) => {
      if (template.dataset.liveItem.split(" ").includes(name)) addItem(root, template, data);
    });
    all("[data-live-refresh]", root).concat(root.matches("[data-live-refresh]") ? [root] : []).forEach((element) => {
      if (element.dataset.liveRefresh.split(" ").includes(name)) refresh(element);
    });
  };
  const listen = (root) => {
    if (root.dataset.liveOn) return;
    root.dataset.liveOn = "1";
    const names = new Set(["message"]);
    const add = (list) => (list || "").split(" ").forEach((name) => name && name !== "error" && names.add(name));
    add(root.dataset.liveEvents);
    all("template[data-live-item]", root).forEach((element) => add(element.dataset.liveItem));
    all("[data-live-refresh]", root).forEach((element) => add(element.dataset.liveRefresh));
    add(root.dataset.liveRefresh);
    let source, pause = 500, timer, lost = false, last = "";
    // A new source does not send the number of the last event along, as the browser's own tries do.
    const address = () => {
      const url = new URL(root.dataset.live, location.href);
      if (last && url.searchParams.has("after")) url.searchParams.set("after", last);
      return url;
    };
    const ended = async () => {
      try {
        const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin", redirect: "manual" });
        return answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status);
      } catch { return false; }
    };
    const again = async () => {
      if (await ended()) {
        mark(root, "not live");
        return say("You are signed out, or this page is not yours any more. Load it again.");
      }
      if (root.isConnected) timer = setTimeout(open, pause);
      pause = Math.min(pause * 2, 15000);
    };
    const open = () => {
      clearTimeout(timer);
      source = new EventSource(address());
      source.onopen = () => {
        pause = 500;
        mark(root, "live");
        if (lost) all("[data-live-refresh]", root).concat(root.matches("[data-live-refresh]") ? [root] : []).forEach(refresh);
        lost = false;
      };
      source.onerror = () => {
        lost = true;
        mark(root, "reconnecting");
        if (source.readyState === EventSource.CLOSED && root.isConnected) again(); // else the browser tries again by itself
      };
      names.forEach((name) => {
        const take = received(root, name);
        source.addEventListener(name, (event) => { last = event.lastEventId || last; take(event); });
      });
    };
    mark(root, "connecting");
    open();
    addEventListener("pagehide", () => { clearTimeout(timer); source.close(); });
    addEventListener("pageshow", (event) => { if (event.persisted && root.isConnected) open(); });
    new MutationObserver((_, observer) => {
      if (root.isConnected) return;
      observer.disconnect();
      clearTimeout(timer);
      source.close();
    }).observe(document.body, { childList: true, subtree: true });
  };

  // --- Times: "3 minutes ago" stays true -----------------------------------------------------------------------------
  const ago = (when) => {
    const seconds = Math.round((Date.now() - new Date(when)) / 1000);
    if (!Number.isFinite(seconds)) return when;
    if (seconds < 5 && seconds > -5) return "just now";
    const size = Math.abs(seconds);
    const [n, unit] = size < 60 ? [size, "second"] : size < 3600 ? [size / 60, "minute"] : size < 86400 ? [size / 3600, "hour"] : [size / 86400, "day"];
    const words = `${Math.floor(n)} ${unit}${Math.floor(n) === 1 ? "" : "s"}`;
    return seconds < 0 ? "in " + words : words + " ago";
  };
  setInterval(() => {
    all("time[data-ago]").forEach((element) => {
      if (Date.now() - new Date(element.dateTime) < 30 * 86400000) element.textContent = ago(element.dateTime);
    });
    all("[data-fresh-for]").forEach((element) => {
      const time = element.querySelector("time[datetime]");
      if (time && Date.now() - new Date(time.dateTime) > 1000 * element.dataset.freshFor) element.classList.add("stale");
    });
  }, 10000);

  // --- Small things ----------------------------------------------------------------------------------------------------
  // What is hidden are the elements marked data-filter-item, else the list's children; a data-filter-group without any goes too.
  const sift = (box) => {
    const wanted = box.value.trim().toLowerCase();
    const list = document.querySelector(box.dataset.filter);
    if (!list) return;
    const items = all("[data-filter-item]", list);
    const sifted = items.length ? items : [...list.children];
    sifted.forEach((item) => { item.hidden = wanted !== "" && !item.textContent.toLowerCase().includes(wanted); });
    all("[data-filter-group]", list).forEach((group) => { group.hidden = !group.querySelector("[data-filter-item]:not([hidden])"); });
    const none = box.dataset.filterNone ? document.querySelector(box.dataset.filterNone) : null;
    if (none) none.hidden = sifted.some((item) => !item.hidden) || wanted === "";
  };
  document.addEventListener("input", (event) => { if (event.target.matches("input[data-filter]")) sift(event.target); });
  document.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    if (copy) {
      const words = copy.dataset.copy || (copy.previousElementSibling ? copy.previousElementSibling.textContent : "");
      try {
        await navigator.clipboard.writeText(words);
        const label = copy.querySelector("[data-copy-label]") || copy;
        const before = label.textContent;
        label.textContent = "Copied";
        setTimeout(() => { label.textContent = before; }, 1600);
      } catch { say("The browser does not allow copying."); }
    }
    const pause = event.target.closest("[data-live-pause]");
    if (pause) {
      const root = pause.closest("[data-live]");
      if (!root) return;
      const held = root.heldBack;
      root.heldBack = held ? null : [];
      (held || []).forEach(([template, data]) => addItem(root, template, data));
      pause.classList.toggle("held", !held);
      pauseLabel(root);
    }
    all("details.menu[open]").forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    all("details.menu[open]").forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); });
    if (location.hash === "#nav") location.hash = "#content";
  });

  // Parts that nothing tells about are fetched again while somebody looks: [data-poll="seconds"] with an id.
  const polled = new Map();
  setInterval(() => all("[data-poll]").forEach((element) => {
    if (document.hidden || Date.now() - (polled.get(element.id) || loaded) < 1000 * element.dataset.poll) return;
    polled.set(element.id, Date.now());
    refresh(element);
  }), 1000);
  const loaded = Date.now();

  const start = (root) => {
    const roots = all("[data-live]", root);
    if (root.matches && root.matches("[data-live]")) roots.push(root);
    roots.forEach(listen);
  };
  start(document);
  all(".tabs [aria-current]").forEach((tab) => { tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.offsetLeft - 24; });
  const errors = document.getElementById("errors");
  if (errors) errors.focus();
})();
