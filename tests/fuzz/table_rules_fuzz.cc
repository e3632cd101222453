// Rule files of regexp, pcre and cidr: the first line is the key, the rest the rules.  Any bytes give a table
// and one of its three answers.
#include "log/log.h"
#include "table/table.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace
{

// A file without a name, which the tables open again.
class RuleFile
{
public:
    std::string holding(std::string_view rules)
    {
        if (fd_ < 0 || ::ftruncate(fd_, 0) != 0 ||
            ::pwrite(fd_, rules.data(), rules.size(), 0) != static_cast<ssize_t>(rules.size()))
            std::abort();
        return "/proc/self/fd/" + std::to_string(fd_);
    }

private:
    int fd_ = ::memfd_create("rules", MFD_CLOEXEC);
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead;
    log::open({.kind = log::Target::Kind::file, .path = "/dev/null"}, "fuzz", "fuzz");
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto end = std::min(text.find('\n'), text.size());
    static RuleFile file;
    const std::string path = file.holding(text.substr(std::min(end + 1, text.size())));
    // regexp is the C library's engine, which has no limits: not for arbitrary patterns.
    for (const char* type : {"pcre:", "cidr:"}) {
        const auto table = open_table(type + path);
        if (!table)
            std::abort();
        (void)(*table)->find(text.substr(0, end));
    }
    return 0;
}
