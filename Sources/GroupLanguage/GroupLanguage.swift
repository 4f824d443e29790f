// GroupLanguage
