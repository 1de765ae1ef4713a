// What a page looks like to whoever doesn't see it well: functions that tests call in the browser.
window.looks = (() => {
    "use strict";

    // Any CSS colour as [red, green, blue, alpha] of 0 to 255 and 0 to 1: painted, and read back.
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    function rgba(colour) {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
        return [red, green, blue, alpha / 255];
    }

    const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a), 1];

    // What is behind an element: backgrounds of all that hold it, the thin ones over the others.
    function behind(element) {
        const layers = [];
        for (let each = element; each; each = each.parentElement) {
            const colour = rgba(getComputedStyle(each).backgroundColor);
            if (colour[3] > 0) layers.push(colour);
            if (colour[3] === 1) break;
        }
        return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
    }

    function luminance([red, green, blue]) {
        const part = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
        return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
    }

    function contrast(one, other) {
        const [high, low] = [luminance(one), luminance(other)].sort((a, b) => b - a);
        return (high + 0.05) / (low + 0.05);
    }

    const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());

    // Texts that are hard to read: less than 4.5 to 1.
    function pale() {
        const found = [];
        for (const element of document.querySelectorAll("body *")) {
            const style = getComputedStyle(element);
            const box = element.getBoundingClientRect();
            const isSeen = style.visibility === "visible" && box.width > 1 && box.height > 1 && style.fontSize !== "0px";
            if (!own(element) || !isSeen || element.closest("script, .hoverlayer")) continue;
            const ink = rgba(element instanceof SVGElement ? style.fill : style.color);
            const paper = behind(element);
            const ratio = contrast(over(ink, paper), paper);
            if (ratio < 4.5) found.push(`${element.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
        }
        return found;
    }

    // Controls that nobody could name by hearing them.
    function nameless() {
        const named = (element) =>
            element.textContent.trim() || element.ariaLabel || element.labels?.length || element.title ||
            document.getElementById(element.getAttribute("aria-labelledby"))?.textContent;
        return [...document.querySelectorAll("a, button, input, select, [role=region], [tabindex='0']")]
            .filter((element) => element.checkVisibility({visibilityProperty: true}) && !element.ariaHidden && !named(element))
            .map((element) => element.outerHTML.slice(0, 160));
    }

    return {pale, nameless};
})();
