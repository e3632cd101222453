// 8-bit text for servers without 8BITMIME (RFC 6152, section 3): parts with 8-bit bytes become
// quoted-printable or base64, and every label says what is there.  Two passes: the first one
// looks which parts need it.
#pragma once

#include "mime_parts.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// What is to be done with a part.
enum class PartChange : std::uint8_t { none, label_7bit, quoted_printable, base64 };

// The first pass.
class DownConversionPlan final : private MimeParts::Listener
{
public:
    void line(std::string_view text, bool complete) { parts_.line(text, complete); }
    // What to do with each part, in their order.
    std::vector<PartChange> finish();

private:
    void field(std::size_t, const HeaderField&) override {}
    void end_of_header(std::size_t part, const PartHead& head, bool blank_line) override;
    void body(std::size_t part, std::string_view text, bool complete) override;
    void end_of_body(std::size_t part, bool at_boundary) override;
    void between(std::string_view, bool) override {}

    std::vector<PartChange> changes_;
    bool is_encodable_ = false;
    bool is_text_ = false;
    std::uint64_t bytes_ = 0;
    std::uint64_t bytes_8bit_ = 0;
    bool has_controls_ = false;
    MimeParts parts_{*this};
};

using LineSink = std::function<void(std::string_view text, bool complete)>;

// Lines of at most 76 bytes (RFC 2045, 6.7).
class QuotedPrintableWriter
{
public:
    void line(std::string_view text, bool complete, const LineSink& out);
    void finish(const LineSink& out); // what is left of an open line

private:
    void add(std::string_view token, const LineSink& out);

    std::string line_;
    char blank_ = 0; // held back: at the end of a line it must be encoded
    bool is_soft_ = false;
};

// Lines of 76 bytes (RFC 2045, 6.8); the text's line ends are CR LF.
class Base64Writer
{
public:
    void line(std::string_view text, bool complete, const LineSink& out);
    void finish(bool at_boundary, const LineSink& out);

private:
    void add(std::string_view bytes, const LineSink& out);

    std::string bytes_;
    bool owes_line_end_ = false;
};

// The second pass, over the same lines.
class DownConverter final : private MimeParts::Listener
{
public:
    explicit DownConverter(std::vector<PartChange> changes) : changes_(std::move(changes)) {}

    void line(std::string_view text, bool complete, const LineSink& out);
    void finish(const LineSink& out);

private:
    PartChange change_of(std::size_t part) const;
    void write_label(std::size_t part);
    void write_lines(std::string_view raw);
    void field(std::size_t part, const HeaderField& field) override;
    void end_of_header(std::size_t part, const PartHead& head, bool blank_line) override;
    void body(std::size_t part, std::string_view text, bool complete) override;
    void end_of_body(std::size_t part, bool at_boundary) override;
    void between(std::string_view text, bool complete) override;

    std::vector<PartChange> changes_;
    const LineSink* out_ = nullptr; // of the call under way
    bool is_labelled_ = false;
    bool has_type_ = false;
    bool has_version_ = false;
    QuotedPrintableWriter quoted_printable_;
    Base64Writer base64_;
    MimeParts parts_{*this};
};

// "Subject: grün" -> "Subject: =?utf-8?B?Z3LDvG4=?=" (RFC 2047), lines joined by '\n'; for fields of
// free text only.
std::string encode_words(const HeaderField& field);

} // namespace bulkhead
