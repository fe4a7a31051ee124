// Leaves one stack for another. The floating-point environment is one for all fibers and stays as it is.
#pragma once

#include <cstddef>
#include <cstdint>

// Keeps the caller's place in *save and goes on where `load` was kept.
extern "C" void coppice_on_host_switch_stack(void** save, void* load);

#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.hidden coppice_on_host_switch_stack
.globl coppice_on_host_switch_stack
.type coppice_on_host_switch_stack, @function
coppice_on_host_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size coppice_on_host_switch_stack, .-coppice_on_host_switch_stack
)");
#elif defined(__aarch64__)
asm(R"(
.text
.p2align 4
.hidden coppice_on_host_switch_stack
.globl coppice_on_host_switch_stack
.type coppice_on_host_switch_stack, %function
coppice_on_host_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x2, sp
  str x2, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size coppice_on_host_switch_stack, .-coppice_on_host_switch_stack
)");
#else
#error "kernels run on the host on x86-64 and arm64"
#endif

namespace coppice::on_host {

// A place at the begin of `entry`, which never returns, on a stack that ends at `end`.
inline void* place_at(char* end, void (*entry)()) {
  uintptr_t* top = reinterpret_cast<uintptr_t*>(reinterpret_cast<uintptr_t>(end) & ~uintptr_t{15});
#if defined(__x86_64__)
  top -= 8;  // six registers, the return address, and what `entry` would return to
  for (int i = 0; i < 8; ++i) top[i] = 0;
  top[6] = reinterpret_cast<uintptr_t>(entry);
#else
  top -= 20;
  for (int i = 0; i < 20; ++i) top[i] = 0;
  top[11] = reinterpret_cast<uintptr_t>(entry);  // x30
#endif
  return top;
}

}  // namespace coppice::on_host
