// A child with a result of its own: reads stdin, writes the longest word to the envelope on fd 3.
import { readFileSync } from 'node:fs'
import { writeEnvelope } from 'untildone/process'

const words = readFileSync(0, 'utf8').split(/\s+/)
writeEnvelope(words.reduce((longest, word) => (word.length > longest.length ? word : longest), ''))
