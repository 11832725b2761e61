// Keeps of a model's facts what can be found in the text that it was given. A name that stands nowhere is an invention,
// and a connector that is made of inventions fails at somebody's API.
import type { Facts } from './facts.js'
import { normal } from './words.js'

export function grounded(facts: Facts, text: string): Facts {
  const stands = (name: string) => name !== '' && text.includes(name)
  const isMember = (path: readonly string[]) => path.every(stands)
  const known = normal(text)
  return {
    baseUrls: facts.baseUrls.filter((url) => URL.canParse(url) && stands(url)),
    auth: facts.auth.filter(({ kind, name }) => (name === null ? new RegExp(kind, 'i').test(text) : stands(name))),
    paging: {
      ...facts.paging,
      parameters: facts.paging.parameters.filter(({ name }) => stands(name)),
      members: facts.paging.members.filter(({ path }) => isMember(path)),
    },
    objectClasses: facts.objectClasses
      .filter(({ name }) => known.includes(normal(name)))
      .map((one) => ({
        ...one,
        // Only the deterministic extractor can know that nothing else may be sent.
        bodyKnown: false,
        attributes: one.attributes.filter(({ name }) => stands(name)),
      })),
    endpoints: facts.endpoints
      .filter(({ path }) => stands(path.replace(/\{.*$/, '')))
      .map((one) => ({
        ...one,
        parameters: one.parameters.filter(({ name }) => stands(name)),
        members: one.members.filter(({ path }) => isMember(path)),
        answerPath: one.answerPath && isMember(one.answerPath) ? one.answerPath : null,
        bodyPath: one.bodyPath && isMember(one.bodyPath) ? one.bodyPath : null,
      })),
  }
}
