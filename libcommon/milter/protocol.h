// The packets of the mail filter protocol, versions 2 to 6: bytes to values and back.
// A filter is no friend: whatever it sends is checked here, before anything else sees it
// (DESIGN section 16: a malformed reply never reaches a client).  No sockets here.
#pragma once

#include "base/result.h"
#include "smtp/reply.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::milter
{

// What the mail server sends.
namespace command
{
inline constexpr char negotiate = 'O';
inline constexpr char macros = 'D';
inline constexpr char connect = 'C';
inline constexpr char helo = 'H';
inline constexpr char mail = 'M';
inline constexpr char rcpt = 'R';
inline constexpr char data = 'T';
inline constexpr char header = 'L';
inline constexpr char end_of_headers = 'N';
inline constexpr char body = 'B';
inline constexpr char end_of_message = 'E';
inline constexpr char abort = 'A';
inline constexpr char quit = 'Q';
inline constexpr char quit_new = 'K';
inline constexpr char unknown = 'U';
} // namespace command

// "SMFIC_CONNECT", for log lines.
std::string_view command_name(char command);

// What a filter may do at the end of a message.
namespace action
{
inline constexpr std::uint32_t add_headers = 0x1;
inline constexpr std::uint32_t change_body = 0x2;
inline constexpr std::uint32_t add_recipients = 0x4;
inline constexpr std::uint32_t delete_recipients = 0x8;
inline constexpr std::uint32_t change_headers = 0x10;
inline constexpr std::uint32_t quarantine = 0x20;
inline constexpr std::uint32_t change_sender = 0x40;
inline constexpr std::uint32_t add_recipients_with_parameters = 0x80;
inline constexpr std::uint32_t set_macros = 0x100;
} // namespace action

// What a filter does not want to see, or does not answer.
namespace option
{
inline constexpr std::uint32_t no_connect = 0x1;
inline constexpr std::uint32_t no_helo = 0x2;
inline constexpr std::uint32_t no_mail = 0x4;
inline constexpr std::uint32_t no_rcpt = 0x8;
inline constexpr std::uint32_t no_body = 0x10;
inline constexpr std::uint32_t no_headers = 0x20;
inline constexpr std::uint32_t no_end_of_headers = 0x40;
inline constexpr std::uint32_t silent_headers = 0x80;
inline constexpr std::uint32_t no_unknown = 0x100;
inline constexpr std::uint32_t no_data = 0x200;
inline constexpr std::uint32_t skip = 0x400;
inline constexpr std::uint32_t refused_recipients = 0x800;
inline constexpr std::uint32_t silent_connect = 0x1000;
inline constexpr std::uint32_t silent_helo = 0x2000;
inline constexpr std::uint32_t silent_mail = 0x4000;
inline constexpr std::uint32_t silent_rcpt = 0x8000;
inline constexpr std::uint32_t silent_data = 0x10000;
inline constexpr std::uint32_t silent_unknown = 0x20000;
inline constexpr std::uint32_t silent_end_of_headers = 0x40000;
inline constexpr std::uint32_t silent_body = 0x80000;
inline constexpr std::uint32_t leading_space = 0x100000; // of header values
} // namespace option

// The events for which macros are sent; the numbers are those of SETSYMLIST.
enum class Stage : unsigned { connect, helo, mail, rcpt, data, end_of_message, end_of_headers, unknown };
inline constexpr std::size_t stages = 8;

inline constexpr std::size_t max_packet = 1'000'000; // bytes behind the length
inline constexpr std::size_t max_body_chunk = 65'535;

struct Offer {
    std::uint32_t version = 6;
    std::uint32_t actions = 0;
    std::uint32_t options = 0;
};

// What version 2, 3, 4 or 6 has; Fault::config for others.
Result<Offer> offer_of(unsigned version);

struct Agreement {
    Offer offer;
    std::array<std::optional<std::string>, stages> macros; // lists that the filter asks for
};

std::string encode(const Offer& offer);

// The filter's answer to our offer: nothing that was not offered.
Result<Agreement> parse_agreement(std::string_view data, const Offer& ours);

// Length, command, data.
std::string packet(char command, std::string_view data);
void append_packet(std::string& out, char command, std::string_view data);

// "name\0value\0"
void append_string(std::string& out, std::string_view text);

// A change that a filter asks for.
struct Edit {
    enum class Kind {
        add_header,
        insert_header,
        change_header, // an empty value deletes
        replace_body,
        add_recipient,
        delete_recipient,
        change_sender,
        quarantine,
    };
    Kind kind;
    std::uint32_t index = 0;
    std::string name;
    std::string value; // header value, address (internal form), piece of a body, reason
};

// nullopt: the command is no edit.  Fault::malformed, Fault::refused (not agreed upon).
Result<std::optional<Edit>> parse_edit(char command, std::string_view data, std::uint32_t actions);

// "552-5.9.1 one\r\n552 5.9.1 two": 4xx or 5xx, the same in all lines, printable text.
Result<Reply> parse_reply_code(std::string_view data);

} // namespace bulkhead::milter
