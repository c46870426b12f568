/** The timer of user-mode instructions and the interrupts that wait for IF (docs/adr/001). */

const IF: u32 = 0x200;
const NEVER: u64 = u64.MAX_VALUE;
const TIMER: u32 = 0;

/** Retired user-mode instructions, exact at block boundaries. */
export function userInstructions(): u64 {
  return load<u64>(STATE_USER_BASE) + load<u32>(STATE_FUEL_LOADED) - <u64>(<i64>load<i32>(STATE_USER_FUEL));
}

function loadFuel(): void {
  const base = userInstructions();
  const due = load<u64>(STATE_TIMER_DUE);
  const fuel: u64 = due <= base ? 0 : min(<u64>FAR_AWAY, due - base);
  store<u64>(STATE_USER_BASE, base);
  store<u32>(STATE_FUEL_LOADED, <u32>fuel);
  store<u32>(STATE_USER_FUEL, <u32>fuel);
}

/** An interrupt waits from now on until it is taken. */
export function request(line: u32): void {
  store<u32>(STATE_INTERRUPT_PENDING, load<u32>(STATE_INTERRUPT_PENDING) | (1 << line));
}

/** Arms the timer, from now on; 0 = off. */
export function setTimer(period: u32): void {
  store<u32>(STATE_TIMER_PERIOD, period);
  store<u64>(STATE_TIMER_DUE, period == 0 ? NEVER : userInstructions() + period);
  loadFuel();
}

/** The fuel is used up: raises the timer when it is due and loads the fuel anew. */
export function fuelEmpty(): void {
  const due = load<u64>(STATE_TIMER_DUE);
  if (userInstructions() >= due) {
    store<u64>(STATE_TIMER_DUE, due + load<u32>(STATE_TIMER_PERIOD));
    request(TIMER);
  }
  loadFuel();
}

/** Time passes to the timer's next expiry (hlt). False when the timer is off. */
export function skipToTimer(): bool {
  const period = load<u32>(STATE_TIMER_PERIOD);
  if (period == 0) return false;
  store<u64>(STATE_TIMER_DUE, userInstructions() + period);
  request(TIMER);
  loadFuel();
  return true;
}

/** The vector of the interrupt that is to be taken now, or -1. */
export function waitingVector(): i32 {
  const pending = load<u32>(STATE_INTERRUPT_PENDING);
  if (pending == 0 || (load<u32>(STATE_SYSTEM_FLAGS) & IF) == 0) return -1;
  return FIRST_VECTOR + 31 - clz<u32>(pending);
}

/** The interrupt is taken: it waits no longer. */
export function acknowledge(vector: i32): void {
  store<u32>(STATE_INTERRUPT_PENDING, load<u32>(STATE_INTERRUPT_PENDING) & ~(1 << (vector - FIRST_VECTOR)));
}
