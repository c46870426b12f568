export {
  type AsmClobberArgument,
  asmSaveSet,
  asmSiteMask,
  type CallSiteForm,
  type CallSiteShape,
  callSiteShape,
  cCallForm,
  cSiteMask,
} from './call-site-shape.js';
export {
  anyMask,
  argumentMask,
  calleePreservedMask,
  maskBits,
  maskOf,
  NO_CLOBBERS,
  registersOf,
  returnMask,
  scratchMask,
} from './clobber-masks.js';
export { compilerAssumesLost } from './compiler-clobbers.js';
export type {
  CallSitesMeanwhile,
  CallSitesPatched,
  OptimisationApplied,
  OptimisationReverted,
  PatchEvent,
  PatchEventOf,
  PatchedSiteRecord,
  PatchingCompleted,
} from './events.js';
export { foldText, type PatchSets, patchSetHash, patchSetsByHash, type TextChange, textChangeOf } from './fold-text.js';
export { GUEST_TYPES, type GuestType, isSupported } from './guest-types.js';
export {
  type IrqTemplate,
  type IrqTemplates,
  lguestIrqTemplates,
  templateAt,
  xenIrqTemplates,
} from './irq-templates.js';
export type * from './kernel-catalogue.js';
export { identitySnippet, nativeSnippet } from './native-inline.js';
export { type CpuFeature, type CpuIdentity, chooseNopTable, type NopTable, nopInstructions, nops } from './nops.js';
export type {
  CallSite,
  HypervisorSide,
  KeptReason,
  PatchContext,
  SiteOutcome,
  SitePatch,
  SpecialFunctions,
  VmiRelocation,
} from './patch-context.js';
export { patchSites } from './patch-driver.js';
export {
  hasCallSites,
  isCalleeSave,
  isIrqOp,
  type NativeOp,
  nativeOp,
  PVOPS,
  type Pvop,
  type PvopCaller,
  type PvopName,
  type PvopResult,
  pvopNamed,
  pvopOfType,
  slotCount,
  typeOf,
} from './pvop-catalogue.js';
export {
  brokenPromises,
  type CalleeConvention,
  type CallerSide,
  calleeMayLose,
  resultDestroyedByThunk,
  resultNotDeclared,
  resultRegisters,
  sitePromises,
} from './register-contract.js';
export {
  type Bits,
  bitsOf,
  type Paging,
  type Register,
  type Register32,
  type Register64,
  STANDARD_CONVENTION,
} from './registers.js';
export {
  type MeasuredStage,
  nextOptimisations,
  OPTIMISATIONS,
  type Optimisation,
  type OptimisationSet,
  optimisationRow,
  optimisationsAt,
  optimisationsLeadingTo,
  STAGES,
  type Stage,
  stageReached,
} from './stages.js';
export {
  applyEdits,
  type EditableText,
  editInPlace,
  inverseOf,
  revertEdits,
  segmentsAsText,
  type TextEdit,
  type TextSegment,
} from './text-edits.js';
export { type Thunk, thunkBytes, thunkOf } from './thunks.js';
