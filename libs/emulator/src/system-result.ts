import type { Delivery } from './interrupts.js';

/** What a system instruction asks of the run loop beside changing the state. */
export type SystemResult =
  | { readonly kind: 'next' }
  /** rip has been set, and interrupts may have become deliverable. */
  | { readonly kind: 'jumped' }
  /** The CPU enters a handler; rip is behind the instruction. */
  | { readonly kind: 'deliver'; readonly delivery: Delivery }
  | { readonly kind: 'marker'; readonly code: number }
  | { readonly kind: 'exit'; readonly status: number }
  /** Interrupts may have become deliverable. */
  | { readonly kind: 'interruptible' }
  /** The same, after one more instruction. */
  | { readonly kind: 'shadow' }
  | { readonly kind: 'halt' }
  /** rip has been set, and the guest waits for an interrupt. */
  | { readonly kind: 'waiting' };
