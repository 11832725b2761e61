// A language model behind an OpenAI-compatible endpoint, asked for one JSON value. A busy endpoint is tried again by the
// product; what is no use is permanent for the piece that was asked about. It must never put more into a request than its caller gave.
import { Permanent, Transient } from 'untildone'
import type { z } from 'zod'

export interface ModelSettings {
  /** `https://host/v1`; `/chat/completions` is appended. */
  baseUrl: string
  apiKey: string
  /** Name of the model. */
  name: string
}

const ANSWER_MAX = 4 << 20

/** OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL. Null unless endpoint and model are named. */
export function modelFrom(env: NodeJS.ProcessEnv): ModelSettings | null {
  const { OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey = '', OPENAI_MODEL: name } = env
  return baseUrl && name ? { baseUrl, apiKey, name } : null
}

/** @throws Transient `model-busy`; Permanent `model-refused`, `model-answer-useless` */
export async function askModel<T>(
  { baseUrl, apiKey, name }: ModelSettings,
  task: string,
  material: string,
  answer: z.ZodType<T>,
  signal: AbortSignal,
): Promise<T> {
  const response = await fetch(`${baseUrl.replace(/\/+$/, '')}/chat/completions`, {
    method: 'POST',
    signal,
    headers: { 'content-type': 'application/json', ...(apiKey ? { authorization: `Bearer ${apiKey}` } : {}) },
    body: JSON.stringify({
      model: name,
      temperature: 0,
      response_format: { type: 'json_object' },
      messages: [
        { role: 'system', content: task },
        { role: 'user', content: material },
      ],
    }),
  })
  const body = await response.text()
  const { status } = response
  if (status === 408 || status === 429 || status >= 500)
    throw new Transient(`The model endpoint answered ${status}.`, {
      code: 'model-busy',
      retryAfterMs: (Number(response.headers.get('retry-after')) || 0) * 1000,
    })
  if (!response.ok)
    throw new Permanent(`The model endpoint answered ${status}.`, { code: 'model-refused', origin: 'model' })
  return parsed(body, answer)
}

function parsed<T>(body: string, answer: z.ZodType<T>): T {
  const useless = (why: string) =>
    new Permanent(`The model's answer is no use: ${why}.`, { code: 'model-answer-useless', origin: 'model' })
  if (body.length > ANSWER_MAX) throw useless('it is too long')
  let content: unknown
  try {
    const said: unknown = JSON.parse(body).choices[0].message.content
    content = JSON.parse(String(said).replace(/^\s*```(?:json)?\s*|\s*```\s*$/g, ''))
  } catch {
    throw useless('it is not JSON')
  }
  const checked = answer.safeParse(content)
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  throw useless(`${issue?.path.join('.') || 'it'}: ${issue?.message}`)
}
