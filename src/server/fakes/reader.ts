/** Reads an event stream as a client would. Never in the package. */
export interface Frame {
  event: string | null
  id: string | null
  data: any
  text: string
}

/** Reads frames one by one, as a client would. */
export class Reader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>
  readonly #decoder = new TextDecoder()
  #text = ''

  constructor(answer: Response) {
    this.#reader = answer.body!.getReader()
  }

  /** The next frame, or null at the end of the stream. */
  async next(): Promise<Frame | null> {
    for (;;) {
      const end = this.#text.indexOf('\n\n')
      if (end !== -1) {
        const text = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? null
        const data = field('data')
        return { event: field('event'), id: field('id'), data: data === null ? null : JSON.parse(data), text }
      }
      const { done, value } = await this.#reader.read()
      if (done) return null
      this.#text += this.#decoder.decode(value, { stream: true })
    }
  }

  /** The next frames that are no comments and not `retry`. */
  async take(count: number): Promise<Frame[]> {
    const frames: Frame[] = []
    while (frames.length < count) {
      const frame = await this.next()
      if (!frame) throw new Error(`The stream ended after ${frames.length} of ${count} frames.`)
      if (frame.event !== null) frames.push(frame)
    }
    return frames
  }

  /** All frames up to the end. */
  async rest(): Promise<Frame[]> {
    const frames: Frame[] = []
    for (let frame = await this.next(); frame; frame = await this.next()) frames.push(frame)
    return frames
  }

  cancel(): Promise<void> {
    return this.#reader.cancel()
  }
}
