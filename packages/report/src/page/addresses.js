/** @param {Element} map */
export function listenToAddresses(map) {
  const blocks = /** @type {SVGGElement[]} */ ([...map.querySelectorAll('.block')]);
  const readout = map.querySelector('.address-readout');
  /** @param {SVGGElement} block */
  const tell = (block) => {
    if (readout !== null) readout.textContent = block.getAttribute('aria-label');
    for (const each of blocks) each.classList.toggle('meant', each === block);
  };
  for (const [i, block] of blocks.entries()) {
    block.addEventListener('pointerenter', () => tell(block));
    block.addEventListener('focus', () => tell(block));
    block.addEventListener('keydown', (event) => {
      const by = ['ArrowDown', 'ArrowRight'].includes(event.key)
        ? 1
        : ['ArrowUp', 'ArrowLeft'].includes(event.key)
          ? -1
          : 0;
      const next = blocks[event.key === 'Home' ? 0 : event.key === 'End' ? blocks.length - 1 : i + by];
      if ((by === 0 && event.key !== 'Home' && event.key !== 'End') || next === undefined) return;
      event.preventDefault();
      block.setAttribute('tabindex', '-1');
      next.setAttribute('tabindex', '0');
      next.focus();
    });
  }
}
