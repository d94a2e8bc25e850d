package main_test

// faults lists what a program can find of faults of accessibility on the page (after WCAG 2.2): language and title, one h1 and no
// skipped heading, names of controls, labels of fields, texts of images, references that lead nowhere, ids that are there twice,
// small targets. Contrast is checked where the colours are made, in core/theme.
func (b *browser) faults() (found []string) {
	b.t.Helper()
	if err := b.ask(accessibility, &found); err != nil {
		b.t.Errorf("look for faults of accessibility: %v", err)
	}
	return found
}

const accessibility = `(() => {
	const found = [];
	const all = (selector) => [...document.querySelectorAll(selector)];
	const shown = (e) => e.checkVisibility({ visibilityProperty: true });
	const what = (e) => e.outerHTML.replace(/\s+/g, " ").slice(0, 90);
	const named = (e) => (e.getAttribute("aria-label") || e.innerText || e.title || (e.querySelector("img[alt]") || {}).alt || "").trim() !== "";
	if (!document.documentElement.lang) found.push("the page has no language");
	if (!document.title.trim()) found.push("the page has no title");
	if (all("main").length !== 1) found.push("the page has " + all("main").length + " main parts");
	if (all("h1").filter(shown).length !== 1) found.push("the page has " + all("h1").filter(shown).length + " first headings");
	const first = document.querySelector("a, button, input:not([type=hidden])");
	if (!first || first.getAttribute("href") !== "#content" || !document.getElementById("content")) found.push("the first thing to reach is no link to the content");
	let level = 0;
	for (const heading of all("main h1, main h2, main h3, main h4, main h5, main h6").filter(shown)) {
		const now = Number(heading.tagName[1]);
		if (now > level + 1) found.push("a heading of level " + now + " follows one of level " + level + ": " + heading.innerText);
		level = now;
	}
	for (const field of all("input:not([type=hidden]), select, textarea").filter(shown)) {
		const labels = [...field.labels].some((label) => label.textContent.trim());
		if (!labels && !field.getAttribute("aria-label") && !field.getAttribute("aria-labelledby")) found.push("a field has no label: " + what(field));
	}
	for (const control of all("button, a[href], summary").filter(shown)) if (!named(control)) found.push("nothing names " + what(control));
	for (const image of all("img")) if (!image.hasAttribute("alt")) found.push("an image has no text: " + what(image));
	for (const icon of all("svg")) if (icon.getAttribute("aria-hidden") !== "true" && icon.getAttribute("role") !== "img") found.push("a drawing is neither hidden nor named: " + what(icon));
	const ids = all("[id]").map((e) => e.id);
	for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) found.push("the id " + id + " is there twice");
	for (const name of ["for", "aria-describedby", "aria-labelledby", "aria-controls"])
		for (const e of all("[" + name + "]"))
			for (const id of e.getAttribute(name).trim().split(/\s+/)) if (!document.getElementById(id)) found.push(name + " leads nowhere: " + what(e));
	for (const target of all(".button, main input:not([type=hidden],[type=checkbox],[type=radio]), select, .bottombar a").filter(shown)) {
		const box = target.getBoundingClientRect();
		const least = target.matches(".small, .link") ? 36 : 44; // a small one is made larger by what surrounds it
		if (box.width > 0 && box.height < least - 0.5) found.push("a target is " + Math.round(box.height) + " px high: " + what(target));
	}
	for (const e of all("[style]")) found.push("a style attribute: " + what(e));
	return found;
})()`
