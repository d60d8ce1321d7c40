// What can be seen of a page: its width, what stands outside of it, texts that are cut off, and the contrast of each
// text with its ground. Run in the page by the tests; no page of ours holds a script.
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, ground) => top.slice(0, 3).map((value, i) => value * top[3] + ground[i] * (1 - top[3])).concat(1);
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };

  const texts = [], outside = [], clipped = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const shown = node.textContent.trim();
    if (!shown || !element.checkVisibility() || element.closest(".skip-link")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width || element.closest("title, desc")) continue;
    const style = getComputedStyle(element);
    const ink = element.closest("svg") ? style.fill : style.color;
    const below = ground(element);
    texts.push({ text: shown.slice(0, 40), contrast: contrast(over(rgba(ink), below), below) });
    const scrolls = element.closest(".table-box, .chart-box");
    if ((box.left < -0.5 || box.right > innerWidth + 0.5) && !scrolls) outside.push(shown.slice(0, 40));
    const chart = element.closest(".chart-box");
    if (chart) {
      const edge = chart.getBoundingClientRect();
      if (box.left < edge.left - 0.5 || box.right > edge.right + 0.5) clipped.push(shown);
    }
  }
  return { width: document.documentElement.scrollWidth, texts, outside, clipped };
};
