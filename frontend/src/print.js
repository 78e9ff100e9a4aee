// On paper everything is open: what is folded on the screen would be lost.
export function unfoldForPrint() {
  let folded = [];
  addEventListener('beforeprint', () => {
    folded = [...document.querySelectorAll('details:not([open])')];
    for (const box of folded) box.open = true;
  });
  addEventListener('afterprint', () => {
    for (const box of folded) box.open = false;
  });
}
