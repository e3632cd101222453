// Frames from a sibling that was taken over: nothing in them may crash a reader.
#include "ipc/bounce.h"
#include "ipc/cleanup.h"
#include "ipc/delivery.h"
#include "ipc/message.h"
#include "ipc/qmgr.h"
#include "ipc/rewrite.h"
#include "ipc/showq.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace bulkhead::ipc;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto header = parse_frame_header(bytes.substr(0, frame_header_size));
    const std::string body(bytes.substr(std::min(size, frame_header_size)));
    const Message message(header ? header->kind : Kind::ok, body);
    (void)check_attributes(body);
    (void)decode_delivery_request(message);
    (void)decode_delivery_report(message);
    (void)decode_bounce_append(message);
    (void)decode_bounce_flush(message);
    (void)decode_cleanup_open(message);
    (void)decode_cleanup_result(message);
    (void)decode_queue_arrival(message);
    (void)decode_queue_flush(message);
    (void)decode_rewrite(message);
    (void)decode_resolve(message);
    (void)decode_shown_message(message);
    return 0;
}
