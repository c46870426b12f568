import { DIRECT_TRANSFER_BYTES } from './direct-transfer.js';
import { type IrqTemplates, lguestIrqTemplates, templateAt, xenIrqTemplates } from './irq-templates.js';
import type { CallSite, HypervisorSide, PatchContext, Verdict, VmiRelocation } from './patch-context.js';
import { defaultRule, inline, keep, nativeHook, transfer, violation } from './patch-rules.js';
import { isIrqOp, type PvopName, pvopOfType } from './pvop-catalogue.js';
import { optimisationsAt } from './stages.js';

/** The patch hook of the guest's type (domain.md §5). */
export const guestHook = (context: PatchContext, site: CallSite): Verdict => {
  switch (context.guestType) {
    case 'native':
    case 'kvm':
      return nativeHook(context, site);
    case 'vsmp':
      return isIrqOp(pvopAt(context, site)) ? defaultRule(context, site) : nativeHook(context, site);
    case 'xen':
      return templateOrDefault(context, site, xenTemplates(context, context));
    case 'lguest':
      return templateOrDefault(context, site, lguestIrqTemplates(context.irqEnabled));
    case 'vmi':
      return vmiHook(context, site, context.relocations);
  }
};

const pvopAt = (context: PatchContext, site: CallSite): PvopName => pvopOfType(site.type, context.paging).name;

/** A template that does not fit gives way to the default rule. */
const templateOrDefault = (context: PatchContext, site: CallSite, templates: IrqTemplates): Verdict => {
  const template = templates[pvopAt(context, site)];
  if (template === undefined || template.bytes.length > site.length) return defaultRule(context, site);
  return inline(site, templateAt(template, site.address));
};

/** 64-bit Xen got its direct irq ops on 2 February 2009; 32-bit had them all along (domain.md §5.2). */
const xenTemplates = (context: PatchContext, xen: Extract<HypervisorSide, { guestType: 'xen' }>): IrqTemplates => {
  const usable = context.bits === 32 || optimisationsAt(context.stage, context.paging).has('xen-direct-irq');
  return usable && xen.vcpuPlacement ? xenIrqTemplates(context.bits, xen.vcpuInfo, xen.checkEvents) : {};
};

const VMI_PATCHED: readonly PvopName[] = [
  'irq.irq_disable',
  'irq.irq_enable',
  'irq.restore_fl',
  'irq.save_fl',
  'cpu.iret',
  'cpu.irq_enable_sysexit',
];

/** The ROM's relocations for six ops; clobbers are ignored and the default rule is never asked (domain.md §5.4). */
const vmiHook = (context: PatchContext, site: CallSite, relocations: ReadonlyMap<PvopName, VmiRelocation>): Verdict => {
  const pvop = pvopAt(context, site);
  const relocation = VMI_PATCHED.includes(pvop) ? relocations.get(pvop) : undefined;
  if (relocation === undefined || relocation.kind === 'none') return keep('hook-declines');
  if (relocation.kind === 'nop') return { outcome: 'nop', bytes: new Uint8Array(0) };
  if (site.length < DIRECT_TRANSFER_BYTES) throw violation(site, 'the VMI ROM needs five bytes for its call');
  return transfer(relocation.kind === 'call_rel' ? 'call' : 'jump', site, relocation.target);
};
