// The text of a message, from the lines of DATA to records: the hot path.
#pragma once

#include "smtp/data_reader.h"

#include <string>
#include <string_view>

namespace bulkhead
{

class ContentWriter final : public DataSink
{
public:
    // records: where text goes; null (or detach()): nowhere, the rest is only read.
    explicit ContentWriter(std::string* records) : records_(records) {}

    void line(std::string_view text, bool complete) override;
    void detach() { records_ = nullptr; }

private:
    bool top_line(std::string_view text);

    std::string* records_;
    bool at_top_ = true;
    bool at_line_start_ = true;
};

// The text of one message on its way: what reads it, and where it goes.
struct MessageContent {
    MessageContent(std::size_t line_limit, DataReader::Framing framing, std::string* records)
        : reader(line_limit, framing), writer(records)
    {
    }

    DataReader reader;
    ContentWriter writer;
    bool too_big = false;
};

} // namespace bulkhead
