import { AppError, formatVirt, type GuestVirt } from '@pvtrail/primitives';
import { anyMask } from './clobber-masks.js';
import { DIRECT_TRANSFER_BYTES, directTransfer } from './direct-transfer.js';
import { identitySnippet, MISSING_OP, nativeSnippet } from './native-inline.js';
import type { CallSite, KeptReason, PatchContext, Verdict } from './patch-context.js';
import { type PvopName, pvopOfType } from './pvop-catalogue.js';
import { optimisationsAt } from './stages.js';

/** The native hook: the op's own instructions if they fit, else the site stays; ops without such take the default rule (§3.2). */
export const nativeHook = (context: PatchContext, site: CallSite): Verdict => {
  const snippet = nativeSnippet(pvopOfType(site.type, context.paging).name, context.bits);
  return snippet === undefined ? defaultRule(context, site) : inline(site, snippet);
};

const JUMPS: readonly PvopName[] = ['cpu.iret', 'cpu.irq_enable_sysexit', 'cpu.usergs_sysret32', 'cpu.usergs_sysret64'];

/** The default rule, in the kernel's order: missing, empty, identity, jump, call (domain.md §3.3). */
export const defaultRule = (context: PatchContext, site: CallSite): Verdict => {
  const target = targetOf(context, site);
  if (target === 0n) return { outcome: 'ud2', bytes: MISSING_OP };
  if (target === context.special.nop) return { outcome: 'nop', bytes: new Uint8Array(0) };
  const identity = identityWidth(context, target);
  if (identity !== null) return inline(site, identitySnippet(identity, context.bits));
  if (JUMPS.includes(pvopOfType(site.type, context.paging).name)) return transfer('jump', site, target);
  return clobberTestPasses(context, site) ? transfer('call', site, target) : keep('clobber-test');
};

const targetOf = (context: PatchContext, site: CallSite): GuestVirt => {
  const target = context.opTable.get(site.type);
  if (target === undefined) throw violation(site, `the guest's op table has no slot ${site.type}`);
  return target;
};

const identityWidth = ({ special, stage, paging }: PatchContext, target: GuestVirt): 'ident32' | 'ident64' | null => {
  if (!optimisationsAt(stage, paging).has('identity')) return null;
  if (target === special.ident32) return 'ident32';
  return target === special.ident64 ? 'ident64' : null;
};

/**
 * Quirk B0: the target's clobbers are taken to be ANY even for callee-save ops, so that only a site with the mask ANY gets a
 * direct call. The stage `direct-call` drops the test, as the kernel did in 2018 (domain.md §3.4): the indirect call that it would
 * keep loses the same registers.
 */
const clobberTestPasses = ({ bits, stage, paging }: PatchContext, site: CallSite): boolean => {
  const code = optimisationsAt(stage, paging);
  return code.has('direct-call') || (anyMask(bits, code) & ~site.clobbers) === 0;
};

/** e8/e9 to `target` where five bytes are free. */
export const transfer = (kind: 'call' | 'jump', site: CallSite, target: GuestVirt): Verdict =>
  site.length < DIRECT_TRANSFER_BYTES
    ? keep('shorter-than-5')
    : { outcome: `direct-${kind}`, target, bytes: directTransfer(kind, site.address, target) };

/** The instructions in place of the call where they fit. */
export const inline = (site: CallSite, bytes: Uint8Array): Verdict => {
  if (bytes.length > site.length) return keep('template-does-not-fit');
  return { outcome: bytes.length === 0 ? 'nop' : 'inline', bytes };
};

/** Leaves the original instructions: what the kernel does whenever it cannot patch. */
export const keep = (reason: KeptReason): Verdict => ({ outcome: 'unchanged', reason });

export const violation = (site: CallSite, why: string): AppError =>
  new AppError(
    'patch/rule-violation',
    `call site ${formatVirt(site.address)} (type ${site.type}, ${site.length} bytes): ${why}`,
  );
