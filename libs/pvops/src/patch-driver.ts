import { AppError } from '@pvtrail/primitives';
import { guestHook } from './guest-hooks.js';
import { isSupported } from './guest-types.js';
import { chooseNopTable, nops } from './nops.js';
import type { CallSite, PatchContext, SitePatch } from './patch-context.js';
import { keep, violation } from './patch-rules.js';
import { requirePaging } from './registers.js';

/** The driver's buffer: a longer site is a bug (domain.md §2.3). */
const MAX_SITE_BYTES = 254;

/**
 * What the kernel's driver makes of its call sites, in the order of the records. Source: domain.md §3.1.
 * @throws AppError `patch/rule-violation` for what the kernel would stop at, `input/unsupported-combination` for a guest that
 * does not exist
 */
export const patchSites = (context: PatchContext, sites: readonly CallSite[]): readonly SitePatch[] => {
  requireGuest(context);
  if (context.stage === 'nopv' && sites.length > 0) {
    throw new AppError('patch/rule-violation', 'a nopv kernel has no call sites');
  }
  return sites.map((site) => patchSite(context, site));
};

/** One site: the guest's hook decides, the rest of the site becomes nops. */
const patchSite = (context: PatchContext, site: CallSite): SitePatch => {
  requireSite(site);
  const verdict = context.noreplaceParavirt ? keep('kept-by-stage') : guestHook(context, site);
  if (verdict.outcome === 'unchanged') {
    return { ...verdict, bytesAfter: site.bytesBefore.slice(), nopBytes: 0 };
  }
  const { bytes, ...outcome } = verdict;
  const nopBytes = site.length - bytes.length;
  if (nopBytes < 0) throw violation(site, `its patch takes ${bytes.length} bytes`);
  const bytesAfter = new Uint8Array(site.length);
  bytesAfter.set(bytes);
  bytesAfter.set(nops(chooseNopTable(context.bits, context.cpu), nopBytes), bytes.length);
  return { ...outcome, bytesAfter, nopBytes };
};

const requireGuest = (context: PatchContext): void => {
  requirePaging(context.bits, context.paging);
  if (!isSupported(context.guestType, context.paging)) {
    throw new AppError(
      'input/unsupported-combination',
      `there is no ${context.guestType} guest with ${context.paging} paging`,
    );
  }
};

const requireSite = (site: CallSite): void => {
  if (site.length < 1 || site.length > MAX_SITE_BYTES) throw violation(site, `a site has 1 to ${MAX_SITE_BYTES} bytes`);
  if (site.bytesBefore.length !== site.length) throw violation(site, `${site.bytesBefore.length} bytes were read`);
};
