(() => {
  const form = document.getElementById("filter"), query = document.getElementById("q"), count = document.getElementById("count");
  const nothing = document.getElementById("nothing"), number = new Intl.NumberFormat(document.documentElement.lang);
  let groups = null;
  /* The texts are read once, when somebody first filters: opening stays quick. */
  const read = () => [...document.querySelectorAll(".group")].map(element => {
    const name = element.querySelector("h3").textContent.toLowerCase();
    return {element, lists: [...element.querySelectorAll(".rows")].map(list => ({element: list,
      rows: [...list.children].map(row => ({row, verdict: row.dataset.v, text: `${name} ${row.textContent.toLowerCase()}`}))}))};
  });
  const show = (element, shown) => { if (element.hidden === shown) element.hidden = !shown; return shown; };
  const apply = () => {
    groups ??= read();
    const words = query.value.toLowerCase().split(/\s+/).filter(Boolean), only = new FormData(form).get("only");
    let all = 0;
    for (const group of groups) {
      let here = 0;
      for (const list of group.lists) {
        const fits = list.rows.map(one => (!only || one.verdict === only) && words.every(word => one.text.includes(word)));
        const fitting = fits.filter(Boolean).length;
        /* A list without a hit is hidden whole: its rows need no touch. */
        if (show(list.element, fitting > 0)) list.rows.forEach((one, place) => show(one.row, fits[place]));
        here += fitting;
      }
      show(group.element, here > 0);
      all += here;
    }
    count.textContent = form.dataset.all.replace("{number}", number.format(all));
    nothing.hidden = all > 0;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", event => event.preventDefault());
  /* A link to a row leads there even when a filter hides it. */
  document.addEventListener("click", event => {
    const jump = event.target.closest("a.jump");
    const row = jump && document.querySelector(jump.getAttribute("href"));
    if (row && row.closest("[hidden]")) { form.reset(); apply(); }
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(one => { one.open = true; }));
})();
