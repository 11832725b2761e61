// The five job types of this example, over parts that they share.
import type { JobHandler } from 'untildone'
import { generateConnectorHandler } from './jobs/codegen.js'
import { getObjectClassHandler } from './jobs/digest.js'
import { getCandidateLinksHandler } from './jobs/discovery.js'
import { getRelevantDocumentationHandler } from './jobs/scrape.js'
import { processUploadHandler } from './jobs/upload.js'
import type { Parts } from './lib/parts.js'

export function handlersFor(parts: Parts): JobHandler[] {
  return [
    getCandidateLinksHandler(parts),
    getRelevantDocumentationHandler(parts),
    processUploadHandler(parts),
    getObjectClassHandler(parts),
    generateConnectorHandler(parts),
  ]
}
