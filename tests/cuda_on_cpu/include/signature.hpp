// Turns a kernel's function pointer into a table entry: how to call it with packed arguments, and what its parameters
// are, as words the Python side can compare with the arguments: `f4` a float, `i8` a long long, `b1` a bool, `V24` a
// struct of 24 bytes; `*f4` a pointer to float, `*const f4` a pointer to const, `*V0` a void pointer.
#pragma once
#include <string>
#include <type_traits>
#include <utility>

#include "runtime.hpp"

namespace cuda_on_cpu {

template <class T> std::string word() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_pointer_v<U>) {
    using P = std::remove_pointer_t<U>;
    return std::string(std::is_const_v<P> ? "*const " : "*") + word<P>();
  } else if constexpr (std::is_void_v<U>) {
    return "V0";
  } else {
    const char* kind = std::is_same_v<U, bool>         ? "b"
                       : std::is_floating_point_v<U>   ? "f"
                       : std::is_enum_v<U>             ? "i"
                       : !std::is_integral_v<U>        ? "V"
                       : std::is_signed_v<U>           ? "i"
                                                       : "u";
    return kind + std::to_string(sizeof(U));
  }
}

template <class... A> struct Caller {
  static void invoke(const Kernel& kernel, void** arguments) {
    unpack(reinterpret_cast<void (*)(A...)>(kernel.function), arguments, std::index_sequence_for<A...>{});
  }
  template <size_t... I> static void unpack(void (*function)(A...), void** arguments, std::index_sequence<I...>) {
    function(*static_cast<std::remove_reference_t<A>*>(arguments[I])...);
  }
  static const char* parameters() {
    static const std::string text = [] {
      std::string all;
      ((all += all.empty() ? word<A>() : "," + word<A>()), ...);
      return all;
    }();
    return text.c_str();
  }
};

template <class... A> Kernel entry(const char* name, void (*function)(A...), unsigned max_threads) {
  return {name, Caller<A...>::invoke, reinterpret_cast<void (*)()>(function), max_threads, Caller<A...>::parameters()};
}

}  // namespace cuda_on_cpu
