// Any bytes as what flush is asked to remember, and any site as the name of a list: a name is one
// file in one folder.
#include "ipc/flush.h"
#include "spool/site_log.h"

#include <cstdint>
#include <cstdlib>

using namespace bulkhead;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::string name = site_log_name(bytes);
    if (name.starts_with('.') || name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
        std::abort();
    if (!ipc::check_attributes(bytes))
        return 0;
    (void)ipc::decode_flush_site(ipc::Message(ipc::Kind::flush_site, std::string(bytes)));
    (void)ipc::decode_flush_answer(ipc::Message(ipc::Kind::ok, std::string(bytes)));
    const auto add = ipc::decode_flush_add(ipc::Message(ipc::Kind::flush_add, std::string(bytes)));
    if (!add)
        return 0;
    const auto again = ipc::decode_flush_add(encode(*add));
    if (!again || again->queue_id != add->queue_id || again->sites != add->sites)
        std::abort();
    return 0;
}
