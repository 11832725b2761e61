import { defineJob } from 'untildone'
import { z } from 'zod'
import { convert, publish } from './vendor.js'

export const hello = defineJob('hello', { input: z.object({ name: z.string() }) })

export const helloHandler = hello.handler(async (job) => {
  const text = await job.step('convert', () => convert(job.input.name))
  await job.step('publish', ({ key }) => publish(text, key))
  return { text }
})
