#include "emu/fiber.h"

#include <cstdint>

#if defined(__x86_64__) && !defined(FASTCF_PORTABLE_FIBERS)

// Saves what the calling convention says a function preserves on the stack, keeps the stack pointer and takes another:
// a hundred times cheaper than swapcontext, which asks the kernel for the signal mask.
extern "C" void fastcf_switch_stack(void** keep, void* take);
asm(R"(
.text
.hidden fastcf_switch_stack
.globl fastcf_switch_stack
.type fastcf_switch_stack, @function
fastcf_switch_stack:
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
.size fastcf_switch_stack, .-fastcf_switch_stack

.hidden fastcf_enter_fiber
.globl fastcf_enter_fiber
.type fastcf_enter_fiber, @function
fastcf_enter_fiber:
    .cfi_startproc
    .cfi_undefined rip
    movq %r12, %rdi
    call *%rbx
    ud2
    .cfi_endproc
.size fastcf_enter_fiber, .-fastcf_enter_fiber
)");
extern "C" void fastcf_enter_fiber();

namespace fastcf::emu {

Fiber::Fiber() : stack_(new unsigned char[kStackBytes]) {}

void Fiber::start(void (*function)(void*), void* argument) {
    auto* top = reinterpret_cast<std::uintptr_t*>((reinterpret_cast<std::uintptr_t>(stack_.get()) + kStackBytes) &
                                                  ~std::uintptr_t{15});
    *--top = 0;
    *--top = 0;  // keeps the stack on 16 bytes where the function is called
    *--top = reinterpret_cast<std::uintptr_t>(&fastcf_enter_fiber);  // where the first switch returns to
    *--top = 0;                                                      // rbp: the end of the chain of frames
    *--top = reinterpret_cast<std::uintptr_t>(function);             // rbx
    *--top = reinterpret_cast<std::uintptr_t>(argument);             // r12
    for (int i = 0; i < 3; ++i) *--top = 0;
    inside_ = top;
}

void Fiber::resume() {
    fastcf_switch_stack(&outside_, inside_);
}

void Fiber::suspend() {
    fastcf_switch_stack(&inside_, outside_);
}

}  // namespace fastcf::emu

#else

namespace fastcf::emu {
namespace {

void enter(unsigned function_low, unsigned function_high, unsigned argument_low, unsigned argument_high) {
    const auto pointer_of = [](unsigned low, unsigned high) {
        return static_cast<std::uintptr_t>(low) | static_cast<std::uintptr_t>(std::uint64_t{high} << 32);
    };
    reinterpret_cast<void (*)(void*)>(pointer_of(function_low, function_high))(
        reinterpret_cast<void*>(pointer_of(argument_low, argument_high)));
}

}  // namespace

Fiber::Fiber() : stack_(new unsigned char[kStackBytes]) {}

void Fiber::start(void (*function)(void*), void* argument) {
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_.get();
    inside_.uc_stack.ss_size = kStackBytes;
    inside_.uc_link = nullptr;
    const std::uint64_t f = reinterpret_cast<std::uintptr_t>(function), a = reinterpret_cast<std::uintptr_t>(argument);
    makecontext(&inside_, reinterpret_cast<void (*)()>(&enter), 4, static_cast<unsigned>(f),
                static_cast<unsigned>(f >> 32), static_cast<unsigned>(a), static_cast<unsigned>(a >> 32));
}

void Fiber::resume() {
    swapcontext(&outside_, &inside_);
}

void Fiber::suspend() {
    swapcontext(&inside_, &outside_);
}

}  // namespace fastcf::emu

#endif
