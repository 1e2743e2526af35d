// The floating-point mode of the calling thread, as the processor has it.
#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
static uint64_t get() { return _mm_getcsr(); }
static void set(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
// round up, FTZ, DAZ
static constexpr uint64_t STRANGE = 0x4000 | 0x8000 | 0x0040;
#elif defined(__aarch64__)
static uint64_t get() {
  uint64_t mode;
  asm volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
}
static void set(uint64_t mode) { asm volatile("msr fpcr, %0" ::"r"(mode)); }
// round up, FZ
static constexpr uint64_t STRANGE = 1 << 22 | 1 << 24;
#else
static uint64_t get() { return 0; }
static void set(uint64_t) {}
static constexpr uint64_t STRANGE = 0;
#endif

extern "C" uint64_t get_mode() { return get(); }
extern "C" void set_mode(uint64_t mode) { set(mode); }
extern "C" uint64_t strange_mode() { return get() | STRANGE; }
