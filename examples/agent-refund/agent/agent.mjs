// The agent: reads a ticket and the order, and proposes a refund with its reasons. Without a model endpoint a deterministic
// reader does it, so that the example runs anywhere; with one (OPENAI_BASE_URL, OPENAI_MODEL, OPENAI_API_KEY) a model does,
// and its answer is held to the same shape. It proposes; it never pays.

/**
 * @typedef {{ amount: number, why: string, evidence: { label: string, quote: string }[], conflicts: string[], model: string, version: string, tools: string[] }} Proposal
 */

/** @returns {Promise<Proposal>} */
export async function propose(order, ticket, { signal, env = process.env } = {}) {
  return env.OPENAI_BASE_URL ? askModel(order, ticket, env, signal) : read(order, ticket)
}

/** Amounts in the text, and the sentences that say what is wanted. */
export function read(order, ticket) {
  const sentences = ticket.text.split(/(?<=[.!?])\s+/)
  const wants = sentences.filter((sentence) => /refund|money back|broken|damaged|never arrived|wrong/i.test(sentence))
  const against = sentences.filter((sentence) => /do not refund|don't refund|keep it|no refund/i.test(sentence))
  const named = ticket.text.match(/(\d+(?:[.,]\d{2})?)\s*(?:EUR|€)/)
  const asked = named ? Math.round(Number(named[1].replace(',', '.')) * 100) : order.total
  return {
    amount: Math.min(asked, order.refundable),
    why: wants.length > 0 ? `The customer writes: "${wants[0]}"` : 'The ticket gives no reason for a refund.',
    evidence: wants.map((quote) => ({ label: `ticket ${ticket.id}`, quote: quote.slice(0, 200) })),
    conflicts: wants.length > 0 && against.length > 0 ? [wants[0], against[0]] : [],
    model: 'ticket-reader',
    version: '1',
    tools: ['shop.order', 'shop.ticket'],
  }
}

async function askModel(order, ticket, env, signal) {
  const prompt =
    'You decide about refunds. Answer with JSON {"amount": cents, "why": text, "evidence": [{"label", "quote"}], ' +
    '"conflicts": [text]}. Quote the ticket word for word. No evidence is an empty list.'
  const response = await fetch(`${env.OPENAI_BASE_URL}/chat/completions`, {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${env.OPENAI_API_KEY ?? ''}` },
    body: JSON.stringify({
      model: env.OPENAI_MODEL,
      response_format: { type: 'json_object' },
      messages: [
        { role: 'system', content: prompt },
        { role: 'user', content: JSON.stringify({ order, ticket }) },
      ],
    }),
  })
  if (!response.ok)
    throw Object.assign(new Error(`The model endpoint answers ${response.status}.`), { status: response.status })
  const { model, choices } = await response.json()
  return checked(JSON.parse(choices[0].message.content), order, ticket, model ?? env.OPENAI_MODEL)
}

/** What a model says is believed only where it can be checked: quotes must stand in the ticket, the amount in the order. */
function checked(answer, order, ticket, model) {
  const bad = (why) =>
    Object.assign(new Error(`The model's answer cannot be used: ${why}.`), { code: 'model-answer-invalid' })
  if (!Number.isInteger(answer.amount) || answer.amount < 0) throw bad('its amount is not a number of cents')
  if (!Array.isArray(answer.evidence)) throw bad('it names no evidence')
  const evidence = answer.evidence.filter(({ quote }) => typeof quote === 'string' && ticket.text.includes(quote))
  return {
    amount: Math.min(answer.amount, order.refundable),
    why: String(answer.why ?? ''),
    evidence,
    conflicts: Array.isArray(answer.conflicts) ? answer.conflicts.map(String) : [],
    model,
    version: model,
    tools: ['shop.order', 'shop.ticket'],
  }
}
