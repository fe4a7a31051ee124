/**
 * The page's script, as text: token tooltips by pointer and by keyboard, and folded parts opened for printing. The page
 * is complete without it (tokens then carry plain title attributes).
 */
export const REPORT_SCRIPT = `'use strict'
{
  const tip = document.createElement('div')
  tip.className = 'tip'
  tip.setAttribute('role', 'status')
  tip.hidden = true
  document.body.append(tip)

  for (const token of document.querySelectorAll('.tokens .t')) {
    token.dataset.tip = token.title
    token.removeAttribute('title')
  }

  let current = null
  const show = (token) => {
    if (current) current.classList.remove('current')
    current = token
    tip.hidden = !token
    if (!token) return
    token.classList.add('current')
    const name = document.createElement('b')
    name.textContent = token.textContent
    tip.replaceChildren(name, ' ' + token.dataset.tip)
    const box = token.getBoundingClientRect()
    const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8))
    const above = box.top - tip.offsetHeight - 6
    tip.style.left = left + 'px'
    tip.style.top = (above < 4 ? box.bottom + 6 : above) + 'px'
  }
  const tokenOf = (event) => (event.target.closest ? event.target.closest('.tokens .t') : null)

  document.addEventListener('pointerover', (event) => show(tokenOf(event)))
  document.addEventListener('scroll', () => show(null), { passive: true, capture: true })
  document.addEventListener('focusin', (event) => {
    if (event.target.matches('.tokens')) show(event.target.querySelector('.t'))
  })
  document.addEventListener('focusout', () => show(null))
  document.addEventListener('keydown', (event) => {
    const group = event.target
    if (!group.matches || !group.matches('.tokens')) return
    const tokens = [...group.querySelectorAll('.t')]
    const at = tokens.indexOf(current)
    const to = {
      ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: tokens.length - 1,
    }[event.key]
    if (event.key === 'Escape') show(null)
    if (to === undefined) return
    event.preventDefault()
    const next = tokens[Math.max(0, Math.min(tokens.length - 1, to))]
    next.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    requestAnimationFrame(() => show(next))
  })

  const folded = []
  addEventListener('beforeprint', () => {
    show(null)
    for (const part of document.querySelectorAll('details:not([open])')) {
      part.open = true
      folded.push(part)
    }
  })
  addEventListener('afterprint', () => {
    for (const part of folded.splice(0)) part.open = false
  })
}
`
