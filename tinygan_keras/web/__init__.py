"""The page that draws a student's images in a browser: `write_page`."""
