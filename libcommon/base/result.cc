#include "base/result.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bulkhead
{

static PanicSink panic_sink = [](std::string_view text) {
    std::fprintf(stderr, "panic: %.*s\n", static_cast<int>(text.size()), text.data());
};

Error system_error(std::string what, int number)
{
    what += ": ";
    what += std::strerror(number);
    return Error{Fault::io, std::move(what), number};
}

void set_panic_sink(PanicSink sink)
{
    panic_sink = sink;
}

void ensure(bool promise, std::string_view what)
{
    if (promise)
        return;
    panic_sink(what);
    std::abort();
}

} // namespace bulkhead
