/* Gives an object library of generated objects a language. */
extern int tidepool_empty;
