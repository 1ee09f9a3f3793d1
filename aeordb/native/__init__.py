"""The compiled helper behind thin, typed wrappers; import the module you need from here."""
