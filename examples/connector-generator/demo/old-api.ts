// A client of the older API as its documentation asks for one: start a job, then look at it again and again.

const EVERY_MS = 100

export interface Answer {
  jobId: string
  jobType?: string
  status: string
  result?: any
  errors?: string[]
}

export class OldApi {
  constructor(
    private readonly url: string,
    private readonly line: (text: string) => void,
  ) {}

  /** Runs one job to its end and prints the statuses that were seen on the way. */
  async job(session: string, module: string, input: object): Promise<Answer> {
    const path = `/${module}/${session}/${module}`
    const started = await this.ask(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(input),
    })
    const seen = [started.status]
    for (;;) {
      const answer: Answer = await this.ask(`${path}?jobId=${started.jobId}`)
      if (answer.status !== seen.at(-1)) seen.push(answer.status)
      if (answer.status === 'finished' || answer.status === 'failed') {
        this.line(`  ${module.padEnd(12)}  ${seen.join(' → ')}`)
        return answer
      }
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
    }
  }

  async jobs(session: string): Promise<Answer[]> {
    return (await this.ask(`/session/${session}/jobs`)).jobs
  }

  private async ask(path: string, init?: RequestInit): Promise<any> {
    const answer = await fetch(this.url + path, init)
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`)
    return answer.json()
  }
}
