// What the files of SmtpSession share: the words of log lines for what was being done, and the
// classes of replies.
#pragma once

#include "smtp/reply.h"

#include <string_view>

namespace bulkhead::dialogue
{

inline constexpr int service_closing = 421; // RFC 5321, 3.8: may be the answer to anything

inline constexpr std::string_view receiving_greeting = "receiving the initial server greeting";
inline constexpr std::string_view performing_ehlo = "performing the EHLO handshake";
inline constexpr std::string_view performing_lhlo = "performing the LHLO handshake";
inline constexpr std::string_view performing_helo = "performing the HELO handshake";
inline constexpr std::string_view sending_starttls = "sending STARTTLS";
inline constexpr std::string_view sending_reset = "sending RSET";
inline constexpr std::string_view sending_xforward = "sending XFORWARD";
inline constexpr std::string_view sending_mail = "sending MAIL FROM";
inline constexpr std::string_view sending_rcpt = "sending RCPT TO";
inline constexpr std::string_view sending_data = "sending DATA command";
inline constexpr std::string_view sending_text = "sending message body";
inline constexpr std::string_view sending_end = "sending end of data -- message may be sent more than once";

inline bool is_yes(const PeerReply& reply)
{
    return reply.code / 100 == 2;
}
inline bool is_go_ahead(const PeerReply& reply)
{
    return reply.code / 100 == 3;
}

} // namespace bulkhead::dialogue
