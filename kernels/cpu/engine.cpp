// What the library says of itself.
#include <cstring>

#include "boundary.hpp"

#ifndef PTOFA_SOURCES
#error "PTOFA_SOURCES: the hash of the sources"
#endif

namespace ptofa {
namespace {
thread_local char last_message[512];
}

void keep_message(const char* text) noexcept {
  std::strncpy(last_message, text, sizeof last_message - 1);
  last_message[sizeof last_message - 1] = '\0';
}

}  // namespace ptofa

PTOFA_API int ptofa_abi() noexcept { return 1; }
PTOFA_API const char* ptofa_sources() noexcept { return PTOFA_SOURCES; }
PTOFA_API const char* ptofa_message() noexcept { return ptofa::last_message; }
