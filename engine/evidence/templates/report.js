(() => {
  const query = document.getElementById("q"), only = document.getElementById("only"), count = document.getElementById("count");
  const groups = [...document.querySelectorAll(".group")].map(element => ({
    element, rows: [...element.querySelectorAll("tbody tr")].map(row => ({row, verdict: row.dataset.v, text: row.textContent.toLowerCase()})),
    name: element.querySelector("h3").textContent.toLowerCase()}));
  const apply = () => {
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const group of groups) {
      let here = 0;
      for (const {row, verdict, text} of group.rows) {
        const fits = (!only.value || verdict === only.value) && words.every(word => text.includes(word) || group.name.includes(word));
        row.hidden = !fits;
        here += fits;
      }
      group.element.hidden = !here;
      shown += here;
    }
    count.textContent = `${shown} steps`;
  };
  query.addEventListener("input", apply);
  only.addEventListener("change", apply);
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(one => { one.open = true; }));
})();
