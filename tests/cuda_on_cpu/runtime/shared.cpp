// Shared memory. Static `__shared__` variables are compiled as thread-local storage of the kernel's module, which keeps
// them apart from everything else: the whole of it can be found and poisoned before each block, so that a kernel that
// reads what it has not written sees rubbish, as it may on a GPU, and not the block before. Dynamic shared memory ends
// at a page that may not be touched.
#include <link.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "block.hpp"

namespace cuda_on_cpu {

static char *static_begin = nullptr, *dynamic_begin = nullptr;
static size_t static_bytes = 0, dynamic_bytes = 0;

struct tls_index {
  unsigned long module, offset;
};
extern "C" void* __tls_get_addr(tls_index*);

static int look_for_module(dl_phdr_info* info, size_t, void* data) {
  const auto wanted = reinterpret_cast<uintptr_t>(data);
  size_t tls = 0;
  bool inside = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    const uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && wanted >= begin && wanted < begin + header.p_memsz) inside = true;
    if (header.p_type == PT_TLS) tls = header.p_memsz;
  }
  if (!inside) return 0;
  if (tls) {
    tls_index index{info->dlpi_tls_modid, 0};  // also allocates this thread's copy if nobody has touched it yet
    static_begin = static_cast<char*>(__tls_get_addr(&index));
    static_bytes = tls;
  }
  return 1;
}

void find_static_shared(const void* inside_module) {
  static_begin = nullptr;
  static_bytes = 0;
  dl_iterate_phdr(look_for_module, const_cast<void*>(inside_module));
}

void reserve_dynamic_shared(size_t bytes) {
  constexpr size_t capacity = 256 << 10;
  static char* area = nullptr;
  if (!area) {
    void* p = mmap(nullptr, capacity + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(static_cast<char*>(p) + capacity, kPage, PROT_NONE)) std::abort();
    area = static_cast<char*>(p);
  }
  dynamic_bytes = (bytes + 15) / 16 * 16;
  dynamic_begin = area + capacity - dynamic_bytes;
}

void poison_shared() {
  if (static_bytes) std::memset(static_begin, 0xCD, static_bytes);
  if (dynamic_bytes) std::memset(dynamic_begin, 0xCD, dynamic_bytes);
}

void* dynamic_shared() { return dynamic_begin; }

static Region region(const char* begin, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(begin);
  return {address, address + bytes, -1, 1};
}
Region static_shared_region() { return region(static_begin, static_bytes); }
Region dynamic_shared_region() { return region(dynamic_begin, dynamic_bytes); }

}  // namespace cuda_on_cpu
