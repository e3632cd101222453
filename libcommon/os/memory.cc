#include "os/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

#include <link.h>
#include <malloc.h>

namespace bulkhead
{

namespace
{

// Segments that the program cannot write have no page of their own: all of it is in the file.
bool is_only_in_file(const ElfW(Phdr) & segment)
{
    return segment.p_type == PT_LOAD && (segment.p_flags & PF_W) == 0;
}

int release_segments(dl_phdr_info* object, std::size_t, void*)
{
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    for (std::size_t i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object->dlpi_phdr[i];
        if (!is_only_in_file(segment))
            continue;
        const std::uintptr_t start = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
        const std::uintptr_t end = (object->dlpi_addr + segment.p_vaddr + segment.p_filesz) & ~(page - 1);
        if (start < end)
            ::madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
    }
    return 0;
}

} // namespace

void release_start_memory()
{
    ::malloc_trim(0);
    ::dl_iterate_phdr(release_segments, nullptr);
}

} // namespace bulkhead
