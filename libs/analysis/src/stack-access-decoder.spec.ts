import { fromHex } from '@pvtrail/primitives';
import { describe, expect, it } from 'vitest';
import { stackAccessOf } from './stack-access-decoder.js';

const ACCESSES = [
  ['57', 'push %rdi'],
  ['c9', 'leave'],
  ['4157', 'push %r15'],
  ['5f', 'pop %rdi'],
  ['6a10', 'push $16'],
  ['6800100000', 'push $4096'],
  ['ff7008', 'push 8(%rax)'],
  ['8f00', 'pop (%rax)'],
  ['0fa0', 'push %fs'],
  ['4889442408', 'mov %rax,8(%rsp)'],
  ['488b0424', 'mov (%rsp),%rax'],
  ['48c744240800000000', 'movq $0,8(%rsp)'],
  ['4803442410', 'add 16(%rsp),%rax'],
  ['837c240c05', 'cmpl $5,12(%rsp)'],
  ['0fb6442407', 'movzbl 7(%rsp),%eax'],
  ['0faf442408', 'imul 8(%rsp),%eax'],
  ['f0ff4c2408', 'lock decl 8(%rsp)'],
  ['48898424a0000000', 'mov %rax,160(%rsp)'],
  ['0f94442407', 'sete 7(%rsp)'],
] as const;

const OTHERS = [
  ['9c', 'pushf'],
  ['9d', 'popf'],
  ['e800000000', 'call'],
  ['c3', 'ret'],
  ['488d442408', 'lea 8(%rsp),%rax'],
  ['4889e5', 'mov %rsp,%rbp'],
  ['4883ec20', 'sub $32,%rsp'],
  ['498b0424', 'mov (%r12),%rax'],
  ['498945f8', 'mov %rax,-8(%r13)'],
  ['488b0500000000', 'mov 0(%rip),%rax'],
  ['488b042500000000', 'mov 0x0,%rax'],
  ['0f1f442400', 'nop 0(%rsp)'],
  ['66666690', 'nop'],
  ['fa', 'cli'],
  ['0f20d8', 'mov %cr3,%rax'],
  ['b804240000', 'mov $0x2404,%eax'],
  ['a90424ffff', 'test $0xffff2404,%eax'],
] as const;

describe('stackAccessOf', () => {
  it.each(ACCESSES)('%s (%s) is one', (hex) => {
    expect(stackAccessOf(fromHex(hex), 64)).toBe('stack');
  });

  it.each(OTHERS)('%s (%s) is none', (hex) => {
    expect(stackAccessOf(fromHex(hex), 64)).toBeUndefined();
  });

  it.each([
    ['488945f8', 'mov %rax,-8(%rbp)'],
    ['488b440508', 'mov 8(%rbp,%rax),%rax'],
    ['0fb64508', 'movzbl 8(%rbp),%eax'],
  ])('%s (%s) is one if the function has a frame pointer', (hex) => {
    expect(stackAccessOf(fromHex(hex), 64)).toBe('frame');
  });

  it('knows the pushes of segment registers and of all registers in 32-bit code only', () => {
    expect(stackAccessOf(fromHex('06'), 32)).toBe('stack');
    expect(stackAccessOf(fromHex('60'), 32)).toBe('stack');
    expect(stackAccessOf(fromHex('60'), 64)).toBeUndefined();
  });
});
