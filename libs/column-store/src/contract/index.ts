export { describeColumnStoreContract, type StoreUnderTest } from './column-store-contract.js';
export { endedGuest, guestIdNumber, RUN, unitOf } from './made-up-units.js';
