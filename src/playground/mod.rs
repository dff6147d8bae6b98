//! A local stand-in of the Bot API with a chat page. To be built.
