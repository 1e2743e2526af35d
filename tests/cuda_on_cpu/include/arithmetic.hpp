// Arithmetic with the GPU's rounding, conversions, bit operations and loads. Compiled with -ffp-contract=off, so a plain
// sum or product is rounded once, as __fadd_rn and its kin promise.
#pragma once
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline double __dadd_rn(double a, double b) { return a + b; }
inline double __dsub_rn(double a, double b) { return a - b; }
inline double __dmul_rn(double a, double b) { return a * b; }
inline double __ddiv_rn(double a, double b) { return a / b; }
inline double __drcp_rn(double a) { return 1.0 / a; }
inline double __dsqrt_rn(double a) { return std::sqrt(a); }
inline double __fma_rn(double a, double b, double c) { return std::fma(a, b, c); }
inline float __saturatef(float a) { return a > 0 ? (a < 1 ? a : 1.0f) : 0.0f; }

namespace cuda_on_cpu {

// As PTX defines cvt: out of range saturates; NaN gives 0 between 32-bit types and else the top bit alone.
template <class I, class F> I saturating(F whole) {
  if (std::isnan(whole))
    return sizeof(F) == 4 && sizeof(I) == 4 ? I(0) : I(std::make_unsigned_t<I>(1) << (8 * sizeof(I) - 1));
  const F limit = std::ldexp(F(1), std::numeric_limits<I>::digits);
  if (whole >= limit) return std::numeric_limits<I>::max();
  if (whole < (std::is_signed_v<I> ? -limit : F(0))) return std::numeric_limits<I>::min();
  return I(whole);
}

}  // namespace cuda_on_cpu

#define CUDA_ON_CPU_TO_INTEGER(prefix, from, suffix, to)                                                         \
  inline to prefix##2##suffix##_rn(from a) { return cuda_on_cpu::saturating<to>(std::nearbyint(a)); }            \
  inline to prefix##2##suffix##_rz(from a) { return cuda_on_cpu::saturating<to>(std::trunc(a)); }                \
  inline to prefix##2##suffix##_rd(from a) { return cuda_on_cpu::saturating<to>(std::floor(a)); }                \
  inline to prefix##2##suffix##_ru(from a) { return cuda_on_cpu::saturating<to>(std::ceil(a)); }
CUDA_ON_CPU_TO_INTEGER(__float, float, int, int)
CUDA_ON_CPU_TO_INTEGER(__float, float, uint, unsigned)
CUDA_ON_CPU_TO_INTEGER(__float, float, ll, long long)
CUDA_ON_CPU_TO_INTEGER(__float, float, ull, unsigned long long)
CUDA_ON_CPU_TO_INTEGER(__double, double, int, int)
CUDA_ON_CPU_TO_INTEGER(__double, double, uint, unsigned)
CUDA_ON_CPU_TO_INTEGER(__double, double, ll, long long)
CUDA_ON_CPU_TO_INTEGER(__double, double, ull, unsigned long long)
#undef CUDA_ON_CPU_TO_INTEGER

inline float __int2float_rn(int a) { return float(a); }
inline float __uint2float_rn(unsigned a) { return float(a); }
inline float __ll2float_rn(long long a) { return float(a); }
inline float __ull2float_rn(unsigned long long a) { return float(a); }
inline double __int2double_rn(int a) { return double(a); }
inline double __uint2double_rn(unsigned a) { return double(a); }
inline double __ll2double_rn(long long a) { return double(a); }
inline double __ull2double_rn(unsigned long long a) { return double(a); }
inline float __double2float_rn(double a) { return float(a); }

inline int __float_as_int(float a) { return std::bit_cast<int>(a); }
inline unsigned __float_as_uint(float a) { return std::bit_cast<unsigned>(a); }
inline float __int_as_float(int a) { return std::bit_cast<float>(a); }
inline float __uint_as_float(unsigned a) { return std::bit_cast<float>(a); }
inline long long __double_as_longlong(double a) { return std::bit_cast<long long>(a); }
inline double __longlong_as_double(long long a) { return std::bit_cast<double>(a); }
inline int __double2hiint(double a) { return int(std::bit_cast<uint64_t>(a) >> 32); }
inline int __double2loint(double a) { return int(std::bit_cast<uint64_t>(a)); }
inline double __hiloint2double(int high, int low) {
  return std::bit_cast<double>(uint64_t(unsigned(high)) << 32 | unsigned(low));
}

inline int __popc(unsigned a) { return std::popcount(a); }
inline int __popcll(unsigned long long a) { return std::popcount(a); }
inline int __clz(int a) { return std::countl_zero(unsigned(a)); }
inline int __clzll(long long a) { return std::countl_zero(static_cast<unsigned long long>(a)); }
inline int __ffs(int a) { return a ? std::countr_zero(unsigned(a)) + 1 : 0; }
inline int __ffsll(long long a) { return a ? std::countr_zero(static_cast<unsigned long long>(a)) + 1 : 0; }
inline unsigned __brev(unsigned a) {
  a = (a >> 1 & 0x55555555u) | (a & 0x55555555u) << 1;
  a = (a >> 2 & 0x33333333u) | (a & 0x33333333u) << 2;
  a = (a >> 4 & 0x0f0f0f0fu) | (a & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(a);
}
inline unsigned long long __brevll(unsigned long long a) {
  return static_cast<unsigned long long>(__brev(unsigned(a))) << 32 | __brev(unsigned(a >> 32));
}
inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
  const uint64_t bytes = uint64_t(high) << 32 | low;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i) {
    const unsigned choice = selector >> (4 * i), byte = unsigned(bytes >> (8 * (choice & 7))) & 0xff;
    result |= (choice & 8 ? (byte & 0x80 ? 0xffu : 0u) : byte) << (8 * i);
  }
  return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
  return unsigned((uint64_t(high) << 32 | low) << (shift & 31) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
  return unsigned((uint64_t(high) << 32 | low) >> (shift & 31));
}
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
__extension__ typedef __int128 cuda_on_cpu_int128;
__extension__ typedef unsigned __int128 cuda_on_cpu_uint128;
inline long long __mul64hi(long long a, long long b) { return (long long)((cuda_on_cpu_int128(a) * b) >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((cuda_on_cpu_uint128(a) * b) >> 64);
}

// min and max: of mixed integers the common type, of floats the number rather than the NaN, and -0 below +0.
namespace cuda_on_cpu {
template <class F> F lesser(F a, F b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  return a < b || (a == b && std::signbit(a)) ? a : b;
}
template <class F> F greater(F a, F b) {
  if (std::isnan(a)) return b;
  if (std::isnan(b)) return a;
  return a > b || (a == b && std::signbit(b)) ? a : b;
}
}  // namespace cuda_on_cpu
template <class A, class B>
  requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B>
constexpr auto min(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_integral_v<T>)
    return T(b) < T(a) ? T(b) : T(a);
  else
    return cuda_on_cpu::lesser<T>(T(a), T(b));
}
template <class A, class B>
  requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B>
constexpr auto max(A a, B b) {
  using T = std::common_type_t<A, B>;
  if constexpr (std::is_integral_v<T>)
    return T(a) < T(b) ? T(b) : T(a);
  else
    return cuda_on_cpu::greater<T>(T(a), T(b));
}

template <class T> T __ldg(const T* p) { return *p; }
template <class T> T __ldca(const T* p) { return *p; }
template <class T> T __ldcg(const T* p) { return *p; }
template <class T> T __ldcs(const T* p) { return *p; }
template <class T> T __ldlu(const T* p) { return *p; }
template <class T> T __ldcv(const T* p) { return *p; }
template <class T> void __stwb(T* p, T value) { *p = value; }
template <class T> void __stcg(T* p, T value) { *p = value; }
template <class T> void __stcs(T* p, T value) { *p = value; }
template <class T> void __stwt(T* p, T value) { *p = value; }
