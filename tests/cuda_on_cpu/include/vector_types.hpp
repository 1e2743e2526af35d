// The built-in vector types of CUDA C++ with their sizes and alignments, and make_TYPE().
#pragma once

#define CUDA_ON_CPU_VECTOR(type, name, align2, align4)                            \
  struct name##1 { type x; };                                                     \
  struct alignas(align2) name##2 { type x, y; };                                  \
  struct name##3 { type x, y, z; };                                               \
  struct alignas(align4) name##4 { type x, y, z, w; };                            \
  constexpr name##1 make_##name##1(type x) { return {x}; }                        \
  constexpr name##2 make_##name##2(type x, type y) { return {x, y}; }             \
  constexpr name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }  \
  constexpr name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

CUDA_ON_CPU_VECTOR(signed char, char, 2, 4)
CUDA_ON_CPU_VECTOR(unsigned char, uchar, 2, 4)
CUDA_ON_CPU_VECTOR(short, short, 4, 8)
CUDA_ON_CPU_VECTOR(unsigned short, ushort, 4, 8)
CUDA_ON_CPU_VECTOR(int, int, 8, 16)
CUDA_ON_CPU_VECTOR(unsigned int, uint, 8, 16)
CUDA_ON_CPU_VECTOR(long long, longlong, 16, 16)
CUDA_ON_CPU_VECTOR(unsigned long long, ulonglong, 16, 16)
CUDA_ON_CPU_VECTOR(float, float, 8, 16)
CUDA_ON_CPU_VECTOR(double, double, 16, 16)
#undef CUDA_ON_CPU_VECTOR

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
