/** Light, dark, or as the device: kept in a cookie, so that the server paints the page right at once. */

/** @param {string} value */
export function setTheme(value) {
  const theme = ['auto', 'light', 'dark'].includes(value) ? value : 'auto';
  document.documentElement.dataset.theme = theme;
  const secure = location.protocol === 'https:' ? '; Secure' : '';
  document.cookie = `theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}
