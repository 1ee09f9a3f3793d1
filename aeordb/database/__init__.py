"""The library's face: databases, versions, transactions and what they answer."""
