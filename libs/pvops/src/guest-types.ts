import type { Paging } from './registers.js';

export type GuestType = 'native' | 'xen' | 'kvm' | 'lguest' | 'vmi' | 'vsmp';

/** pagings: what the guest type exists with; the first of each bitness is the default (definitions.md §1). */
export const GUEST_TYPES = {
  native: { pagings: ['4level', 'pae', '2level'] },
  xen: { pagings: ['4level', 'pae'] },
  kvm: { pagings: ['4level', 'pae', '2level'] },
  lguest: { pagings: ['2level'] },
  vmi: { pagings: ['2level', 'pae'] },
  vsmp: { pagings: ['4level'] },
} as const satisfies Record<GuestType, { pagings: readonly Paging[] }>;

export const isSupported = (guestType: GuestType, paging: Paging): boolean =>
  (GUEST_TYPES[guestType].pagings as readonly Paging[]).includes(paging);
