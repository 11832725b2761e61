/**
 * Vocabularies of other job APIs, as data: what each of our six words is called there. Where one word is not enough
 * (Google's `done` with a code, MCP's `isError`), the value is an object and is read as `$status.<member>`.
 */
import type { StatusMap, VocabularyName } from './facade.js'

/** MCP asks the client only for what a client can give. */
const MCP_INPUT = { state: 'input_required' }

export const VOCABULARIES: Record<VocabularyName, StatusMap> = {
  morpheus: {
    accepted: 'pending',
    processing: 'in_progress',
    blocked: 'in_progress',
    completed: 'completed',
    failed: 'failed',
    cancelled: 'failed',
  },
  'connector-generator': {
    accepted: 'queued',
    processing: 'running',
    blocked: 'running',
    completed: 'finished',
    failed: 'failed',
    cancelled: 'failed',
  },
  azure: {
    accepted: 'NotStarted',
    processing: 'Running',
    blocked: 'Running',
    completed: 'Succeeded',
    failed: 'Failed',
    cancelled: 'Canceled',
  },
  // Codes of google.rpc.Code: 1 CANCELLED, 4 DEADLINE_EXCEEDED, 13 INTERNAL.
  'google-lro': {
    accepted: { done: false },
    processing: { done: false },
    blocked: { done: false },
    completed: { done: true },
    failed: { done: true, code: 13, name: 'INTERNAL' },
    'failed:deadline-passed': { done: true, code: 4, name: 'DEADLINE_EXCEEDED' },
    cancelled: { done: true, code: 1, name: 'CANCELLED' },
  },
  replicate: {
    accepted: 'starting',
    processing: 'processing',
    blocked: 'processing',
    completed: 'succeeded',
    failed: 'failed',
    cancelled: 'canceled',
  },
  openai: {
    accepted: 'queued',
    processing: 'in_progress',
    blocked: 'in_progress',
    completed: 'completed',
    failed: 'failed',
    cancelled: 'cancelled',
  },
  a2a: {
    accepted: 'submitted',
    processing: 'working',
    blocked: 'input-required',
    completed: 'completed',
    failed: 'failed',
    cancelled: 'canceled',
    'cancelled:approval-rejected': 'rejected',
  },
  mcp: {
    accepted: { state: 'working' },
    processing: { state: 'working' },
    blocked: { state: 'working' },
    'blocked:approval': MCP_INPUT,
    'blocked:input': MCP_INPUT,
    completed: { state: 'completed' },
    // `failed` is kept for errors of the protocol there.
    failed: { state: 'completed', isError: true },
    cancelled: { state: 'cancelled' },
  },
}
