// How jobs reach the shop. Errors keep their status, so that the built-in rules tell a busy shop from a wrong request.

/** @param {string} base URL of the shop */
export function shopClient(base) {
  const ask = async (path, { method = 'GET', key, body, signal } = {}) => {
    const response = await fetch(`${base}${path}`, {
      method,
      signal,
      headers: { 'content-type': 'application/json', ...(key ? { 'idempotency-key': key } : {}) },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const answer = await response.json()
    if (response.ok) return answer
    throw Object.assign(new Error(`The shop says: ${answer.error}`), { status: response.status })
  }
  const at = (...parts) => `/${parts.map(encodeURIComponent).join('/')}`
  return {
    /** @returns {Promise<{ id: string, customer: string, total: number, paidAt: number, refundable: number, version: number }>} */
    order: (id, signal) => ask(at('orders', id), { signal }),
    /** @returns {Promise<{ id: string, order: string, customer: string, text: string }>} */
    ticket: (id, signal) => ask(at('tickets', id), { signal }),
    /** @returns {Promise<string[]>} */
    permissions: (person) => ask(at('people', person)),
    /** @returns {Promise<{ receipt: string, amount: number }>} */
    refund: (order, amount, key, signal) =>
      ask(at('orders', order, 'refunds'), { method: 'POST', key, body: { amount }, signal }),
    /** @returns {Promise<{ receipt: string | null, amount?: number }>} */
    findRefund: (key) => ask(at('refunds', key)),
    /** @returns {Promise<{ receipt: string, voided: boolean }>} */
    voidRefund: (receipt, key) => ask(at('refunds', receipt, 'void'), { method: 'POST', key }),
  }
}
